"""What a Stripe object says, whatever API version shaped it. The one module that knows the shapes.

Each reader takes what Stripe sent, checks the types of what it uses, and gives column values. A field
that is not what it should be reads as absent; only ids that a record cannot do without are errors.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import MalformedEvent

MAX_ID_LENGTH = 255
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
MAX_SECONDS = 253_402_300_799  # the last second of the year 9999

ENDED = frozenset({"canceled", "incomplete_expired"})
"""The statuses that a subscription never leaves ("How subscriptions work", subscription statuses)."""

Values = dict[str, Any]


def subscription_values(content: Values) -> Values:
    """The columns of a subscription that its snapshot says by itself, without those of its items.

    Plan, quantity and term are of the main item, which the catalogue decides: see `terms`.

    Raises:
        MalformedEvent: when the customer or the status is missing.
    """
    check_subscription(content)
    status = str(content["status"])
    return {
        "customer_id": required_id(content, "customer"),
        "status": status,
        "start_date": as_seconds(content.get("start_date")) or as_seconds(content.get("created")),
        "billing_cycle_anchor": as_seconds(content.get("billing_cycle_anchor")),
        "trial_end": as_seconds(content.get("trial_end")),
        "cancel_at": as_seconds(content.get("cancel_at")),
        "cancel_at_period_end": content.get("cancel_at_period_end") is True,
        "canceled_at": as_seconds(content.get("canceled_at")),
        "ended_at": as_seconds(content.get("ended_at")),
        "schedule_id": as_object_id(content.get("schedule")),
        "pause_collection": _pause(content.get("pause_collection")),
        "pause_cause": pause_cause_of(content, status),
        "livemode": as_bool(content.get("livemode")),
        "stripe_metadata": metadata(content),
    }


def check_subscription(content: Values) -> None:
    """
    Raises:
        MalformedEvent: when the customer or the status is missing.
    """
    if not as_text(content.get("status")):
        raise MalformedEvent("The subscription has no usable status.")
    required_id(content, "customer")


def subscription_items(content: Values) -> list[Values]:
    """The items of a subscription, as they are kept. Before 2025-03-31.basil they have no period."""
    return [_item(item) for item in list_of(content.get("items"))] or _items_of_one_plan(content)


def is_cut(value: Any) -> bool:
    """Whether Stripe sent no more than the beginning of a nested list ("Pagination", `has_more`)."""
    return as_dict(value).get("has_more") is True


def _item(item: Values) -> Values:
    price = _price(item)
    recurring = as_dict(price.get("recurring")) or price
    kept = {
        "item_id": as_id(item.get("id")),
        "price_id": as_id(item.get("price")) or as_id(item.get("plan")),
        "product_id": as_id(price.get("product")),
        "quantity": as_integer(item.get("quantity")),
        "unit_amount": _first_known(as_integer(price.get("unit_amount")), as_integer(price.get("amount"))),
        "currency": as_text(price.get("currency")),
        "interval": as_text(recurring.get("interval")),
        "interval_count": as_integer(recurring.get("interval_count")),
        "current_period_start": as_seconds(item.get("current_period_start")),
        "current_period_end": as_seconds(item.get("current_period_end")),
    }
    return kept | {"metered": True} if recurring.get("usage_type") == "metered" else kept


ITEM_MEMBERS = (
    "item_id",
    "price_id",
    "product_id",
    "quantity",
    "unit_amount",
    "currency",
    "interval",
    "interval_count",
    "current_period_start",
    "current_period_end",
)


def as_item(known: Values, *, metered: bool) -> Values:
    """An item as it is kept, with null for what is not known. Only a metered one says so."""
    item = {name: known.get(name) for name in ITEM_MEMBERS}
    return item | {"metered": True} if metered else item


def _items_of_one_plan(content: Values) -> list[Values]:
    """A subscription with a plan and no list of items, as old versions could render it."""
    return [_item(content | {"id": None})] if as_id(content.get("plan")) else []


TRIAL_ENDED = "trial_end_without_payment_method"


def pause_cause_of(content: Values, status: str | None) -> str | None:
    """Why Stripe has paused it ("Pause subscriptions"); None where it is not paused, or Stripe is silent.

    Endpoints of versions before 2026-09-30.endive are silent. There a trial that ends without a payment
    method is what pauses, and the next period begins, or the last one ended, with the trial.
    """
    if status != "paused":
        return None
    if "status_details" in content:
        paused = as_dict(as_dict(content["status_details"]).get("paused"))
        return as_text(as_dict(paused.get("subscription")).get("type"))
    trial_end = as_seconds(content.get("trial_end"))
    item = next(iter(list_of(content.get("items"))), {})
    bounds = [each.get(name) for each in (content, item) for name in PERIOD_BOUNDS]
    return TRIAL_ENDED if trial_end is not None and trial_end in bounds else None


PERIOD_BOUNDS = ("current_period_start", "current_period_end")


def _pause(value: Any) -> Values | None:
    pause = as_dict(value)
    if not pause:
        return None
    return {"behavior": as_text(pause.get("behavior")), "resumes_at": as_seconds(pause.get("resumes_at"))}


INVOICE_STATUS_RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3, "deleted": 3}


def invoice_values(content: Values) -> Values:
    """The columns of an invoice. Amounts in minor currency units."""
    status = as_text(content.get("status"))
    transitions = as_dict(content.get("status_transitions"))
    return {
        "customer_id": as_id(content.get("customer")),
        "subscription_id": invoice_subscription(content),
        "status": status or ("paid" if content.get("paid") is True else None),
        "amount_due": as_integer(content.get("amount_due")),
        "amount_paid": as_integer(content.get("amount_paid")),
        "amount_remaining": as_integer(content.get("amount_remaining")),
        "currency": as_text(content.get("currency")),
        "attempt_count": as_integer(content.get("attempt_count")) or 0,
        "next_payment_attempt": as_seconds(content.get("next_payment_attempt")),
        "hosted_invoice_url": as_text(content.get("hosted_invoice_url")),
        "created": as_seconds(content.get("created")),
        "paid_at": as_seconds(transitions.get("paid_at")),
        "billing_reason": as_text(content.get("billing_reason")),
        "due_date": as_seconds(content.get("due_date")),
        "livemode": as_bool(content.get("livemode")),
    }


def invoice_payment(invoice: Values) -> str | None:
    """The id of the invoice's payment intent, else of its charge; since 2025-03-31.basil under `payments`."""
    paid = [as_dict(each.get("payment")) for each in list_of(invoice.get("payments"))]
    stated = [invoice, *paid]
    found = [as_id(each.get(name)) for name in ("payment_intent", "charge") for each in stated]
    return next((payment for payment in found if payment), None)


def invoice_subscription(invoice: Values) -> str | None:
    """`parent.subscription_details.subscription` since 2025-03-31.basil, `subscription` before."""
    details = as_dict(as_dict(invoice.get("parent")).get("subscription_details"))
    return as_id(details.get("subscription")) or as_id(invoice.get("subscription"))


def billed_subscriptions(invoice: Values) -> set[str]:
    """Every subscription that the invoice or one of its lines bills for."""
    billed = {
        invoice_subscription(invoice),
        *(line_subscription(line) for line in list_of(invoice.get("lines"))),
    }
    return {id for subscription in billed if (id := as_object_id(subscription))}


def line_subscription(line: Values) -> str | None:
    """The subscription whose item the line bills for; None for lines of other things."""
    parent = as_dict(line.get("parent"))
    if parent:
        return as_id(as_dict(parent.get("subscription_item_details")).get("subscription"))
    return as_id(line.get("subscription")) if line.get("type") == "subscription" else None


class SeenPrice(NamedTuple):
    """A price as some object showed it."""

    id: str
    product_id: str | None
    lookup_key: str | None


def prices_before(content: Values, previous: Values | None) -> list[SeenPrice]:
    """The same as they were before the event, where its `previous_attributes` say so."""
    stated = (
        {name: previous[name] for name in ("items", "lookup_key") if name in previous} if previous else {}
    )
    return seen_prices(content | stated) if stated else []


def seen_prices(content: Values) -> list[SeenPrice]:
    """The price that the object is, or the prices of a subscription's items."""
    kind = content.get("object")
    if kind == "price":
        shown = [content]
    elif kind == "subscription":
        shown = [_price(item) for item in list_of(content.get("items"))]
    else:
        return []
    return [
        SeenPrice(price_id, as_id(price.get("product")), as_text(price.get("lookup_key")) or None)
        for price in shown
        if (price_id := as_id(price.get("id")))
    ]


def _price(item: Values) -> Values:
    return as_dict(item.get("price")) or as_dict(item.get("plan"))


def customer_values(content: Values) -> Values:
    """The columns of a customer."""
    return {
        "email": as_text(content.get("email")),
        "livemode": as_bool(content.get("livemode")),
        "deleted": content.get("deleted") is True,
    }


def metadata(content: Values) -> dict[str, str]:
    """The object's metadata: text to text, as Stripe keeps it."""
    return {key: text for key, text in as_dict(content.get("metadata")).items() if isinstance(text, str)}


def named_user(content: Values, keys: Sequence[str]) -> str | None:
    """The user that the object's metadata names: by the first of these keys that holds a usable id."""
    pairs = as_dict(content.get("metadata"))
    for key in keys:
        if (user_id := as_user_id(pairs.get(key))) is not None:
            return user_id
    return None


def as_user_id(value: Any) -> str | None:
    """An id of a user: 1 to 255 printable characters, not all of them blank."""
    return value if isinstance(value, str) and value.strip() and as_id(value) is not None else None


def as_id(value: Any) -> str | None:
    """An id, also where the object was expanded; None for what cannot be one."""
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isprintable():
        return value
    return None


OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")  # nothing else becomes part of an address at Stripe


def as_object_id(value: Any) -> str | None:
    """The id of a subscription, a customer or an invoice; None for what is none of Stripe's."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and OBJECT_ID.fullmatch(value) else None


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def as_integer(value: Any) -> int | None:
    """A whole number that the database can hold."""
    return value if type(value) is int and MIN_INTEGER <= value <= MAX_INTEGER else None


def as_seconds(value: Any) -> int | None:
    """Unix seconds, between 1970 and 9999; None for what is no time."""
    return value if type(value) is int and 0 <= value <= MAX_SECONDS else None


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def required_id(content: dict[str, Any], key: str) -> str:
    """The id under `key`.

    Raises:
        MalformedEvent: when there is none.
    """
    if (value := as_object_id(content.get(key))) is None:
        raise MalformedEvent(f"The object has no usable {key}.")
    return value


def list_of(value: Any) -> list[Values]:
    """The objects in one of Stripe's lists (`{"object": "list", "data": […]}`); none for anything else."""
    data = as_dict(value).get("data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _first_known(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
