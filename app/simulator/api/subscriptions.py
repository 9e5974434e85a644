"""Subscriptions: created, updated, canceled, paused and resumed."""

from typing import Any

from ..model import Subscription
from ..shapes import Json
from . import coupons, forms, payment_methods
from .call import Call
from .errors import declined, invalid, missing, no_such
from .expansion import answer
from .items import change_items, quantity_of, read_items
from .typed import typed_members
from .updates import Changes

KEPT = (
    "automatic_tax",
    "collection_method",
    "days_until_due",
    "description",
    "payment_settings",
    "trial_settings",
)
"""Members that are kept and shown as they are given."""

WITHOUT_EFFECT = ("off_session", "payment_behavior", "proration_behavior", "proration_date", "currency")
"""Accepted: they say how a change is charged, and are read where it is."""

CREATED = (
    "customer",
    "items",
    "metadata",
    "trial_period_days",
    "trial_end",
    "cancel_at_period_end",
    "cancel_at",
    "default_payment_method",
    "discounts",
    "expand",
)
UPDATED = (
    "items",
    "metadata",
    "cancel_at",
    "cancel_at_period_end",
    "cancellation_details",
    "default_payment_method",
    "discounts",
    "pause_collection",
    "trial_end",
    "expand",
)
PAYMENT_BEHAVIORS = (
    "allow_incomplete",
    "default_incomplete",
    "error_if_incomplete",
    "pending_if_incomplete",
)
PENDING = frozenset(
    {
        "items",
        "metadata",
        "trial_end",
        "trial_from_plan",
        "billing_cycle_anchor",
        "add_invoice_items",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "off_session",
        "expand",
    }
)
"""What may stand beside `pending_if_incomplete` ("Pending updates reference", supported attributes)."""
CANCELED = ("invoice_now", "prorate", "cancellation_details", "expand")
DAY = 86_400


def create_subscription(call: Call) -> Json:
    """The first payment goes through at once, unless a card is known that is refused.

    Raises:
        ApiError: 400 for what Stripe refuses, 402 where the first payment has to go through and does not.
    """
    params, account = call.params, call.account
    forms.known(params, (*CREATED, *KEPT, *WITHOUT_EFFECT))
    customer = call.living_customer(forms.required(params, "customer"), "customer")
    items = priced_items(call, "items")
    metadata, trial = forms.merged_metadata(params, {}), _trial_days(call)
    made = coupons.discounts(call, forms.listed(params, "discounts"), "discounts", customer.id)
    kept, behavior = kept_members(call, KEPT), _payment_behavior(call)
    method = payment_methods.usable(
        call, forms.text(params, "default_payment_method"), customer.id, "default_payment_method"
    )
    refused = account.decline_code(customer.id, method)
    if refused and behavior == "error_if_incomplete" and not trial:
        raise declined(refused)
    paid = None if behavior == "default_incomplete" or _is_invoiced(kept) else refused is None
    subscription = account.subscribe(
        customer,
        items,
        metadata,
        trial_days=trial,
        paid=paid,
        discounts=made,
        default_payment_method=method,
        details=kept,
    )
    coupons.redeem(call, made)
    if _is_invoiced(kept) and not trial:
        account.activate_unpaid(subscription, forms.integer(params, "days_until_due") or 30)
    _cancel_later(call, subscription)
    return answer(call, subscription)


def _is_invoiced(kept: Json) -> bool:
    """Whether invoices are sent instead of charged: such a subscription is active before it is paid."""
    return kept.get("collection_method") == "send_invoice"


def _cancel_later(call: Call, subscription: Subscription) -> None:
    at = forms.integer(call.params, "cancel_at")
    if forms.boolean(call.params, "cancel_at_period_end"):
        subscription.end_with_period(call.account.now)
    elif at is not None:
        subscription.end_at(at, call.account.now)


def _trial_days(call: Call) -> int:
    """Whole days: of `trial_period_days`, or until `trial_end`."""
    days, end = forms.integer(call.params, "trial_period_days"), forms.text(call.params, "trial_end")
    if end in (None, "now"):
        return max(0, days or 0)
    seconds = (forms.integer(call.params, "trial_end") or 0) - call.account.now
    if seconds <= 0:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    return -(-seconds // DAY)


def kept_members(call: Call, names: tuple[str, ...]) -> Json:
    """Parameters that are kept as they are, with the types that Stripe gives them.

    Raises:
        ApiError: 400 for those of another type.
    """
    kept = typed_members(call, names)
    for name, default in DEFAULTS.items():
        if isinstance(kept.get(name), dict):
            kept[name] = default | kept[name]
    return kept


DEFAULTS: dict[str, Json] = {
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
}
"""The other members of hashes that are given in part."""


def priced_items(call: Call, param: str) -> list[tuple[str, int]]:
    """(price id, quantity) of each, at least one.

    Raises:
        ApiError: 400 where there is none, or a price is missing or unknown.
    """
    found = []
    for number, item in enumerate(forms.listed(call.params, param)):
        if not isinstance(item, dict):
            raise invalid("Invalid array", param)
        at = f"{param}[{number}]"
        forms.known(item, ("price", "quantity", "metadata", "adjustable_quantity"), at)
        if forms.text(item, "price") is None:
            raise missing(f"{at}[price]")
        price = call.price(item["price"], f"{at}[price]")
        if not price.active:
            raise invalid(
                f"The price specified is inactive. This field only accepts active prices: {price.id}", at
            )
        found.append((price.id, quantity_of(item, at, 1)))
    if not found:
        raise missing(param)
    return found


def update_subscription(call: Call) -> Json:
    """All changes of a request but those of a payment are one event, as at Stripe.

    Raises:
        ApiError: 400 for what Stripe refuses, 402 where a payment has to go through and does not.
    """
    forms.known(call.params, (*UPDATED, *KEPT, *WITHOUT_EFFECT))
    subscription, account = call.subscription(), call.account
    _check_pending(call, subscription)
    if subscription.ended_at is not None and call.params.keys() - {
        "metadata",
        "cancellation_details",
        "expand",
    }:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if subscription.schedule and call.params.keys() & {"cancel_at", "cancel_at_period_end"}:
        raise invalid(
            f"The subscription is managed by the subscription schedule `{subscription.schedule}`, and "
            "updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        )
    changes, behavior = Changes.read(call, subscription, kept_members(call, KEPT)), _payment_behavior(call)
    items = read_items(call, subscription, forms.listed(call.params, "items"))
    charged = account.charges_now(subscription, items, changes.proration)
    with account.editing(subscription):
        changes.make(subscription, account.now)
        if not charged:
            at = forms.integer(call.params, "proration_date")
            account.apply_items(subscription, items, changes.proration, at)
    if charged:
        change_items(call, subscription, items, changes.proration, behavior)
    return answer(call, subscription)


def _check_pending(call: Call, subscription: Subscription) -> None:
    """
    Raises:
        ApiError: 400 for what cannot wait for a payment.
    """
    if call.params.get("payment_behavior") != "pending_if_incomplete":
        return
    items = [item for item in forms.listed(call.params, "items") if isinstance(item, dict)]
    deleted = [f"items[{number}][deleted]" for number, item in enumerate(items) if item.get("deleted")]
    for name in [*sorted(call.params.keys() - PENDING), *deleted]:
        raise invalid(
            "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass supported params. "
            f"`{name}` is not supported.",
            name,
        )
    if _is_invoiced(subscription.details):
        raise invalid("Pending updates are not supported with `collection_method=send_invoice`.")


def _payment_behavior(call: Call) -> str:
    behavior = forms.text(call.params, "payment_behavior") or "allow_incomplete"
    if behavior not in PAYMENT_BEHAVIORS:
        raise invalid(
            f"Invalid payment_behavior: must be one of {', '.join(PAYMENT_BEHAVIORS)}", "payment_behavior"
        )
    return behavior


def cancel_subscription(call: Call) -> Json:
    """At once. One that has ended is not there to be canceled, says Stripe."""
    forms.known(call.params, CANCELED)
    subscription = call.subscription()
    if subscription.ended_at is not None:
        raise no_such("subscription", subscription.id)
    subscription.cancellation |= _cancellation(call)
    call.account.cancel_now(subscription)
    return answer(call, subscription)


def _cancellation(call: Call) -> dict[str, Any]:
    details = forms.hashed(call.params, "cancellation_details")
    forms.known(details, ("comment", "feedback"), "cancellation_details")
    return {name: forms.text(details, name) for name in details}


def pause_subscription(call: Call) -> Json:
    """Stop the service and the invoices until it is resumed."""
    forms.known(call.params, ("type", "invoicing_behavior", "expand"))
    subscription = call.subscription()
    if subscription.status not in ("active", "trialing"):
        raise invalid(f"A subscription with the status {subscription.status} cannot be paused.")
    call.account.pause(subscription, "pause_requested")
    return answer(call, subscription)


def resume_subscription(call: Call) -> Json:
    """Go on with a period that starts now, once its invoice is paid.

    Raises:
        ApiError: 400 unless it is paused.
    """
    forms.known(call.params, ("billing_cycle_anchor", "payment_behavior", "proration_behavior", "expand"))
    subscription, account = call.subscription(), call.account
    if subscription.status != "paused":
        raise invalid(
            "Only paused subscriptions can be resumed. This subscription has a status of "
            f"{subscription.status}."
        )
    refused = account.decline_code(subscription.customer, subscription.default_payment_method)
    if refused:
        raise declined(refused)
    account.resume(subscription)
    return answer(call, subscription)
