"""Subscriptions: created, updated, canceled."""

from dataclasses import dataclass

from ..model import Item, Subscription
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing, no_such
from .rendering import expand, show

WITHOUT_EFFECT = (
    "automatic_tax",
    "collection_method",
    "default_payment_method",
    "description",
    "off_session",
    "payment_behavior",
    "payment_settings",
    "proration_behavior",
    "proration_date",
)
"""Accepted, and of no consequence here: the simulator makes no prorations and knows no cards."""

CREATED = ("customer", "items", "metadata", "trial_period_days", "expand")
UPDATED = ("items", "metadata", "cancel_at", "cancel_at_period_end", "pause_collection", "expand")
PRORATIONS = ("always_invoice", "create_prorations", "none")
CANCELED = ("invoice_now", "prorate", "cancellation_details", "expand")


def create_subscription(call: Call) -> Json:
    """The first payment goes through at once."""
    params = call.params
    forms.known(params, (*CREATED, *WITHOUT_EFFECT))
    customer = call.living_customer(forms.required(params, "customer"), "customer")
    items = priced_items(call, "items")
    metadata, trial = forms.merged_metadata(params, {}), forms.integer(params, "trial_period_days") or 0
    subscription = call.account.subscribe(customer, items, metadata, trial_days=trial)
    return _answer(call, subscription)


def priced_items(call: Call, param: str) -> list[tuple[str, int]]:
    """(price id, quantity) of each, at least one.

    Raises:
        ApiError: 400 where there is none, or a price is missing or unknown.
    """
    found = []
    for number, item in enumerate(forms.listed(call.params, param)):
        if not isinstance(item, dict):
            raise invalid("Invalid array", param)
        forms.known(item, ("price", "quantity", "metadata"), f"{param}[{number}]")
        if forms.text(item, "price") is None:
            raise missing(f"{param}[{number}][price]")
        price = call.price(item["price"], f"{param}[{number}][price]")
        found.append((price.id, _quantity(item, f"{param}[{number}]", 1)))
    if not found:
        raise missing(param)
    return found


def update_subscription(call: Call) -> Json:
    """All changes of a request are one event, as at Stripe."""
    forms.known(call.params, (*UPDATED, *WITHOUT_EFFECT))
    subscription = call.subscription()
    if subscription.ended_at is not None and call.params.keys() - {"metadata", "expand"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if call.params.get("proration_behavior", "none") not in PRORATIONS:
        raise invalid(
            f"Invalid proration_behavior: must be one of {', '.join(PRORATIONS)}", "proration_behavior"
        )
    changes = _Changes.read(call, subscription)
    with call.account.editing(subscription):
        changes.make(subscription, call.account.now)
    return _answer(call, subscription)


def cancel_subscription(call: Call) -> Json:
    """At once. One that has ended is not there to be canceled, says Stripe."""
    forms.known(call.params, CANCELED)
    subscription = call.subscription()
    if subscription.ended_at is not None:
        raise no_such("subscription", subscription.id)
    call.account.cancel_now(subscription)
    return _answer(call, subscription)


@dataclass(frozen=True)
class _Changes:
    """What an update asks for, checked before anything is changed; None leaves a thing as it is."""

    items: list[Item]
    metadata: dict[str, str]
    at_period_end: bool | None
    cancel_at: int | None
    clears_cancel_at: bool
    pause: dict[str, object] | None
    unpauses: bool

    @classmethod
    def read(cls, call: Call, subscription: Subscription) -> "_Changes":
        params = call.params
        pause: dict[str, object] | None = None
        if params.get("pause_collection"):
            pause = {**forms.hashed(params, "pause_collection")}
            forms.known(pause, ("behavior", "resumes_at"), "pause_collection")
            pause["resumes_at"] = forms.integer(pause, "resumes_at")
        return cls(
            _items(call, subscription),
            forms.merged_metadata(params, subscription.metadata),
            forms.boolean(params, "cancel_at_period_end"),
            forms.integer(params, "cancel_at"),
            params.get("cancel_at") == "",
            pause,
            params.get("pause_collection") == "",
        )

    def make(self, subscription: Subscription, now: int) -> None:
        subscription.items, subscription.metadata = self.items, self.metadata
        if self.at_period_end and not subscription.cancel_at_period_end:
            subscription.end_with_period(now)
        elif self.at_period_end is False or self.clears_cancel_at:
            subscription.go_on()
        if self.cancel_at is not None:
            subscription.go_on()
            subscription.cancel_at, subscription.canceled_at = self.cancel_at, now
            subscription.cancellation_reason = "cancellation_requested"
        if self.unpauses or self.pause is not None:
            subscription.pause_collection = self.pause


def _items(call: Call, subscription: Subscription) -> list[Item]:
    """The items afterwards: those named by id are changed or deleted, the others added."""
    items = {item.id: item for item in subscription.items}
    for number, wanted in enumerate(forms.listed(call.params, "items")):
        at = f"items[{number}]"
        if not isinstance(wanted, dict):
            raise invalid("Invalid array", "items")
        forms.known(wanted, ("id", "price", "quantity", "deleted", "metadata"), at)
        item = _item(call, subscription, items, wanted, at)
        if forms.boolean(wanted, "deleted"):
            del items[item.id]
        else:
            items[item.id] = item
    if not items:
        raise invalid("A subscription must have at least one active plan.", "items")
    return list(items.values())


def _item(
    call: Call, subscription: Subscription, items: dict[str, Item], wanted: forms.Params, at: str
) -> Item:
    price_id = forms.text(wanted, "price")
    price = call.price(price_id, f"{at}[price]") if price_id else None
    if (id := forms.text(wanted, "id")) is not None:
        if id not in items:
            raise no_such("subscription item", id, param=f"{at}[id]", status=400)
        old, start, end = items[id], items[id].current_period_start, items[id].current_period_end
        return Item(id, price or old.price, _quantity(wanted, at, old.quantity), old.created, start, end)
    if price is None:
        raise missing(f"{at}[price]")
    if any(item.price.id == price.id for item in items.values()):
        raise invalid(
            f"Cannot add multiple subscription items with the same plan: {price.id}", f"{at}[price]"
        )
    first, now = subscription.items[0], call.account.now
    end, quantity = first.current_period_end, _quantity(wanted, at, 1)
    return Item(call.account.new_id("si"), price, quantity, now, first.current_period_start, end)


def _quantity(wanted: forms.Params, at: str, default: int) -> int:
    quantity = forms.integer(wanted, "quantity", prefix=at)
    if quantity is not None and quantity < 0:
        raise invalid("This value must be greater than or equal to 0.", f"{at}[quantity]")
    return default if quantity is None else quantity


def _answer(call: Call, subscription: Subscription) -> Json:
    return expand(call, show(call, subscription), forms.texts(call.params, "expand"))
