"""`invoice.*`: the invoice's record, and how far its subscription is paid. Never touches a status."""

from collections.abc import Mapping
from typing import Any

from ...db.models import Invoice, Subscription
from ...entitlements import never_paid
from ...signals import invoice_finalization_failed as invoice_finalization_failed_signal
from ...stripe.events import StripeEvent
from ...stripe.invoice_lines import paid_lines, paid_until
from ...stripe.objects import (
    INVOICE_STATUS_RANK,
    Values,
    as_dict,
    as_text,
    invoice_payment,
    invoice_values,
    is_cut,
    required_id,
)
from ..unit_of_work import UnitOfWork
from .announcements import announce_first_payment_failed, announce_payment
from .customer import ensure_customer
from .links import resolve_owner
from .paid_through import known_lines, with_lines
from .past_due import note_invoice
from .snapshots import READING_MARGIN_SECONDS, is_reading
from .subscription import ensure_subscription


def invoice_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Writes the invoice's record, and until when its subscription is paid."""
    values = invoice_values(event.object)
    invoice_id = required_id(event.object, "id")
    if values["customer_id"]:
        ensure_customer(unit_of_work, values["customer_id"])
    for subscription_id in event.names["subscription"]:
        subscription = ensure_subscription(unit_of_work, subscription_id)
        if subscription.customer_id is None:
            unit_of_work.change(subscription, customer_id=values["customer_id"])
            resolve_owner(unit_of_work, subscription)
        _note_first_payment(event, unit_of_work, subscription, values)
        if values["subscription_id"] == subscription_id:
            note_invoice(unit_of_work, subscription, event, values)
    if values["status"] == "paid":
        _extend_paid_through(event, unit_of_work)
        _note_cut_lines(event, unit_of_work, invoice_id)

    invoice = unit_of_work.find(Invoice, invoice_id)
    before = dict(invoice.__dict__) if invoice else None
    values |= {"snapshot_created": event.created, "snapshot_event_id": event.id}
    if invoice is None:
        invoice = unit_of_work.add(Invoice, invoice_id, **values)
    else:
        values["needs_refresh"] = _is_unsure(event, invoice, values)
        unit_of_work.change(invoice, **_merged(invoice, values))
    with_payment(unit_of_work, invoice, invoice_payment(event.object))
    announce_payment(unit_of_work, event, values, before, invoice)


def invoice_deleted(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Marks the invoice as deleted: only a draft can be ("Delete a draft invoice"), so nothing is owed.

    What is known of the invoice stays, whichever event comes last.
    """
    invoice_id = required_id(event.object, "id")
    invoice = unit_of_work.find(Invoice, invoice_id) or unit_of_work.add(Invoice, invoice_id)
    values = invoice_values(event.object)
    values |= {"snapshot_created": event.created, "snapshot_event_id": event.id}
    is_whole = values["status"] is not None and values["customer_id"] is not None
    if is_whole:
        ensure_customer(unit_of_work, values["customer_id"])
    is_newer = is_whole and _age(values) >= _age(invoice.__dict__)
    unit_of_work.change(invoice, **((values | DELETED) if is_newer else DELETED))


def invoice_finalization_failed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Writes the invoice's record, and announces that it cannot be finalized and so is not collected."""
    invoice_snapshot(event, unit_of_work)
    invoice = unit_of_work.find(Invoice, required_id(event.object, "id"))
    if invoice is None or invoice.status != "draft":
        return  # it was finalized since
    error = as_dict(event.object.get("last_finalization_error"))
    unit_of_work.announce(
        invoice_finalization_failed_signal,
        event,
        fact=f"{invoice.id}:{as_text(error.get('code'))}",
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        invoice_id=invoice.id,
        amount=invoice.amount_due,
        currency=invoice.currency,
        code=as_text(error.get("code")),
    )


DELETED = {"status": "deleted", "amount_remaining": 0, "next_payment_attempt": None, "needs_refresh": False}
UNDETERMINED = ("status", "amount_due", "amount_paid", "amount_remaining", "due_date", "next_payment_attempt")


def _merged(invoice: Invoice, values: Values) -> Values:
    """The columns that a snapshot changes of an invoice that is known."""
    if invoice.status == "deleted":
        return values | DELETED if _age(values) >= _age(invoice.__dict__) else {}
    is_newer = _progress(values) >= _progress(invoice.__dict__)  # the same event again, when it is reapplied
    return values if is_newer else {"needs_refresh": values["needs_refresh"]}


def _is_unsure(event: StripeEvent, invoice: Invoice, values: Values) -> bool:
    """Whether the invoice is to be fetched: it was before, or two snapshots differ that are so near that
    either may be the newer one. Else what was fetched determines it.
    """
    unsure = (
        _are_near(event, invoice)
        and _progress(values)[:-2] == _progress(invoice.__dict__)[:-2]
        and any(getattr(invoice, name) != values[name] for name in UNDETERMINED)
    )
    return unsure or (invoice.needs_refresh and not is_reading(event.id))


def _are_near(event: StripeEvent, invoice: Invoice) -> bool:
    """Whether the event and the record's snapshot are too near in time to say which is newer.

    Two events: of one second. An event and what was fetched: within a margin, because two clocks stamp them.
    """
    known = invoice.snapshot_event_id
    if invoice.snapshot_created is None or event.id == known:
        return False
    margin = READING_MARGIN_SECONDS if is_reading(event.id) != is_reading(known) else 0
    return abs(event.created - invoice.snapshot_created) <= margin


def with_payment(unit_of_work: UnitOfWork, invoice: Invoice, payment: str | None) -> None:
    """Note the invoice's payment: the greatest id, in whatever order they come.

    Not every shape names it, and an attempt may have one of its own.
    """
    payments = [known for known in (invoice.payment_id, payment) if known]
    unit_of_work.change(invoice, payment_id=max(payments, default=None))


GIVEN_UP = frozenset({"void", "uncollectible"})
GIVING_UP = frozenset({"invoice.voided", "invoice.marked_uncollectible"})
"""The types of events that say when an invoice was given up. Others may come long after that."""


def _note_first_payment(
    event: StripeEvent, unit_of_work: UnitOfWork, subscription: Subscription, values: Values
) -> None:
    """Whether anything was ever paid, and when the first invoice was given up after a failed payment.

    A bank debit that fails after days leaves the subscription active: Stripe voids its first invoice. Of the
    invoices that are sent to be paid later (`collection_method`) it voids none by itself.
    """
    was_never_paid = never_paid(subscription)
    if values["status"] == "paid":
        unit_of_work.change(subscription, ever_paid=True)
    first = values["billing_reason"] == "subscription_create" and values["subscription_id"] == subscription.id
    first = first and event.object.get("collection_method") != "send_invoice"
    if first and values["status"] in GIVEN_UP and values["attempt_count"] > 0:
        known = subscription.first_payment_failed_at
        given_up_at = event.happened_at if event.type in GIVING_UP else event.created
        failed_at = given_up_at if known is None else min(known, given_up_at)
        unit_of_work.change(subscription, first_payment_failed_at=failed_at)
    if never_paid(subscription) and not was_never_paid:
        announce_first_payment_failed(unit_of_work, event, subscription)


def _note_cut_lines(event: StripeEvent, unit_of_work: UnitOfWork, invoice_id: str) -> None:
    """Mark the subscriptions of a paid invoice that shows only its first lines: the rest is to be fetched."""
    cut = is_cut(event.object.get("lines"))
    for subscription_id in event.names["subscription"]:
        subscription = ensure_subscription(unit_of_work, subscription_id)
        known = set(subscription.cut_invoices or ())
        now = known | {invoice_id} if cut else known - {invoice_id}
        if now != known:
            needs_refresh = subscription.needs_refresh or cut
            unit_of_work.change(subscription, cut_invoices=sorted(now) or None, needs_refresh=needs_refresh)


def _extend_paid_through(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    lines = paid_lines(event.object)
    for subscription_id in {line.subscription_id for line in lines}:
        subscription = ensure_subscription(unit_of_work, subscription_id)
        theirs = (line for line in lines if line.subscription_id == subscription_id)
        known = with_lines(known_lines(subscription), theirs)
        items = subscription.items if subscription.snapshot_rank is not None else None
        unit_of_work.change(subscription, paid_lines=known, paid_through=paid_until(items, known))


def _progress(values: Mapping[str, Any]) -> tuple[object, ...]:
    """How far an invoice has come: its `created` alone would not distinguish events of one second.

    draft < open < uncollectible < paid, void ("How invoicing works", invoice status transitions).
    """
    return (
        INVOICE_STATUS_RANK.get(str(values["status"]), -1),
        values["attempt_count"],
        values["amount_paid"] or 0,
        *_age(values),
    )


def _age(values: Mapping[str, Any]) -> tuple[int, str]:
    """When a snapshot was made; an invoice of which no snapshot came is older than any."""
    return values["snapshot_created"] or 0, values["snapshot_event_id"] or ""
