"""Each event of Stripe's as one sentence for people, from its object and what changed in it. Pure functions.

An event's content comes from outside: a value that is not what it should be is left out of the sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..stripe.events import StripeEvent
from ..stripe.objects import as_dict, as_integer, as_seconds, as_text, list_of
from .formatting import money

Values = Mapping[str, Any]
Sentence = Callable[[Values, Values], str]
"""From the object, and from its attributes before the change."""
MOST_ITEMS = 3


def sentence(event: StripeEvent) -> str:
    """What happened; for a type without a sentence of its own, the type."""
    if event.thin:
        return f"Stripe announced {event.type} without the object"
    build = SENTENCES.get(event.type)
    return build(event.object, event.previous_attributes or {}) if build else event.type


def date_of(seconds: int | None) -> str:
    """Unix seconds as a date in UTC: `2 December 2026`."""
    if seconds is None:
        return "an unknown date"
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%B %Y}"


def _amount(content: Values, name: str) -> str:
    currency = as_text(content.get("currency"))
    return money(as_integer(content.get(name)), currency)


def _items(content: Values) -> str:
    """What the subscription is of: `price_team × 3`."""
    items = [as_dict(each) for each in list_of(content.get("items"))]
    named = [f"{_price(item)}{_times(item)}" for item in items[:MOST_ITEMS]]
    more = f" and {len(items) - MOST_ITEMS} more" if len(items) > MOST_ITEMS else ""
    return (", ".join(named) or "nothing") + more


def _price(item: Values) -> str:
    price = as_dict(item.get("price") or item.get("plan"))
    return (
        as_text(price.get("nickname")) or as_text(price.get("lookup_key")) or as_text(price.get("id")) or "?"
    )


def _times(item: Values) -> str:
    quantity = as_integer(item.get("quantity"))
    return "" if quantity in (None, 1) else f" × {quantity}"


def _begun(content: Values, before: Values) -> str:
    if as_text(content.get("status")) == "trialing":
        return (
            f"A trial of {_items(content)} began; it ends on {date_of(as_seconds(content.get('trial_end')))}"
        )
    waits = "; the first payment is awaited" if as_text(content.get("status")) == "incomplete" else ""
    return f"The subscription to {_items(content)} began{waits}"


STATUSES = {
    "active": "The subscription became active",
    "trialing": "The trial began",
    "past_due": "The subscription became past due: a payment is missing",
    "unpaid": "The subscription became unpaid: Stripe stopped trying to collect",
    "incomplete": "The subscription waits for its first payment",
    "incomplete_expired": "The subscription expired: its first payment was never made",
    "canceled": "The subscription was canceled",
    "paused": "The subscription was paused",
}


def _changed(content: Values, before: Values) -> str:
    parts = [part for part in (build(content, before) for build in CHANGES) if part]
    return "; ".join(parts) or "The subscription was changed"


def _status_changed(content: Values, before: Values) -> str:
    status = as_text(content.get("status")) or ""
    return STATUSES.get(status, f"The status became {status}") if "status" in before else ""


def _cancellation_changed(content: Values, before: Values) -> str:
    if (
        not {"cancel_at", "cancel_at_period_end"} & set(before)
        or as_text(content.get("status")) == "canceled"
    ):
        return ""
    if at := as_seconds(content.get("cancel_at")):
        return f"It was set to end on {date_of(at)}"
    if content.get("cancel_at_period_end") is True:
        return "It was set to end with its period"
    return "The planned end was taken back"


def _items_changed(content: Values, before: Values) -> str:
    was, now = _items(before), _items(content)
    if was not in ("nothing", now) and "?" not in was:
        return f"The subscription changed from {was} to {now}"
    quantity = as_integer(before.get("quantity"))
    if quantity is not None and quantity != as_integer(content.get("quantity")):
        return f"The quantity changed from {quantity} to {as_integer(content.get('quantity'))}"
    return ""


def _renewed(content: Values, before: Values) -> str:
    first = as_dict(next(iter(list_of(content.get("items"))), None))
    end = as_seconds(content.get("current_period_end")) or as_seconds(first.get("current_period_end"))
    items = [as_dict(each) for each in list_of(before.get("items"))]
    moved = "current_period_end" in before or any("current_period_end" in each for each in items)
    return f"A new period began; it ends on {date_of(end)}" if moved and end else ""


def _pause_changed(content: Values, before: Values) -> str:
    if "pause_collection" not in before:
        return ""
    return (
        "Payment collection was paused"
        if content.get("pause_collection")
        else "Payment collection was resumed"
    )


def _trial_changed(content: Values, before: Values) -> str:
    if "trial_end" not in before or "status" in before:
        return ""
    return f"The trial was moved; it ends on {date_of(as_seconds(content.get('trial_end')))}"


CHANGES: Sequence[Sentence] = (
    _status_changed,
    _cancellation_changed,
    _pause_changed,
    _items_changed,
    _trial_changed,
    _renewed,
)


def _failed(content: Values, before: Values) -> str:
    attempt = as_integer(content.get("attempt_count"))
    tried = "" if attempt is None else f" (attempt {attempt})"
    following = as_seconds(content.get("next_payment_attempt"))
    again = f"; Stripe tries again on {date_of(following)}" if following else ""
    return f"Payment of {_amount(content, 'amount_due')} failed{tried}{again}"


def _customer_changed(content: Values, before: Values) -> str:
    if "email" in before:
        return f"The customer's e-mail changed to {as_text(content.get('email')) or 'none'}"
    return "The customer was changed"


def _dispute(content: Values, before: Values) -> str:
    status = (as_text(content.get("status")) or "unknown").replace("_", " ")
    return f"A dispute about {_amount(content, 'amount')} is {status}"


def _refund(content: Values, before: Values) -> str:
    status = (as_text(content.get("status")) or "unknown").replace("_", " ")
    return f"A refund of {_amount(content, 'amount')} is {status}"


def _said(text: str) -> Sentence:
    return lambda content, before: text


def _with_amount(text: str, name: str) -> Sentence:
    return lambda content, before: text.format(_amount(content, name))


SENTENCES: Mapping[str, Sentence] = {
    "customer.created": _said("The customer was created"),
    "customer.updated": _customer_changed,
    "customer.deleted": _said("The customer was deleted"),
    "customer.subscription.created": _begun,
    "customer.subscription.updated": _changed,
    "customer.subscription.deleted": _said("The subscription ended"),
    "customer.subscription.paused": _said("The subscription was paused"),
    "customer.subscription.resumed": _said("The subscription was resumed"),
    "customer.subscription.trial_will_end": lambda content, before: (
        f"The trial ends on {date_of(as_seconds(content.get('trial_end')))}"
    ),
    "customer.subscription.pending_update_applied": _said("A pending change was applied"),
    "customer.subscription.pending_update_expired": _said("A pending change expired"),
    "invoice.created": _with_amount("An invoice over {} was created", "amount_due"),
    "invoice.updated": _with_amount("The invoice was changed; {} are left to pay", "amount_remaining"),
    "invoice.overdue": _with_amount("The invoice is overdue; {} are left to pay", "amount_remaining"),
    "invoice.deleted": _said("The draft of an invoice was deleted"),
    "invoice.finalization_failed": _with_amount("The invoice over {} cannot be finalized", "amount_due"),
    "invoice_payment.paid": _said("A payment of the invoice succeeded"),
    "invoice_payment.failed": _said("A payment of the invoice failed"),
    "credit_note.created": _with_amount("A credit note over {} was issued", "amount"),
    "credit_note.updated": _with_amount("The credit note over {} was changed", "amount"),
    "credit_note.voided": _with_amount("The credit note over {} was voided", "amount"),
    "invoice.finalized": _with_amount("The invoice over {} was finalized", "amount_due"),
    "invoice.paid": _with_amount("The invoice over {} was paid", "amount_due"),
    "invoice.payment_succeeded": _with_amount("Payment of {} succeeded", "amount_paid"),
    "invoice.payment_failed": _failed,
    "invoice.payment_action_required": _with_amount(
        "Payment of {} waits for the customer's confirmation", "amount_due"
    ),
    "invoice.upcoming": _with_amount("An invoice over {} comes with the renewal", "amount_due"),
    "invoice.voided": _with_amount("The invoice over {} was voided", "amount_due"),
    "invoice.marked_uncollectible": _with_amount("The invoice over {} was given up", "amount_due"),
    "checkout.session.completed": _said("The checkout was completed"),
    "checkout.session.async_payment_succeeded": _said("The payment of the checkout succeeded"),
    "checkout.session.async_payment_failed": _said("The payment of the checkout failed"),
    "checkout.session.expired": _said("The checkout expired"),
    "radar.early_fraud_warning.created": _said("The bank reports that the charge may be fraudulent"),
    "charge.refunded": _with_amount("{} in all were refunded", "amount_refunded"),
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.closed": _dispute,
    "price.created": _said("The price was created"),
    "price.updated": _said("The price was changed"),
    "price.deleted": _said("The price was deleted"),
    "product.created": _said("The product was created"),
    "product.updated": _said("The product was changed"),
    "product.deleted": _said("The product was deleted"),
    "subscription_schedule.created": _said("A change of the subscription was scheduled"),
    "subscription_schedule.updated": _said("The scheduled change was changed"),
    "subscription_schedule.released": _said("The scheduled change was taken back"),
    "subscription_schedule.canceled": _said("The schedule was canceled, and the subscription with it"),
    "subscription_schedule.completed": _said("The scheduled change was made"),
    "subscription_schedule.aborted": _said("The schedule ended, since a payment failed"),
}
