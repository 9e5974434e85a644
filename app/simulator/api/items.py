"""The items of a subscription: read from parameters, changed, and as objects of their own."""

from ..changes import CardDeclined, Proration
from ..model import Item, Subscription
from ..objects import render_item
from ..shapes import Json
from . import forms
from .call import Call
from .errors import declined, invalid, missing, no_such
from .expansion import expand

PRORATIONS: tuple[Proration, ...] = ("always_invoice", "create_prorations", "none")
WITHOUT_EFFECT = ("off_session", "payment_behavior", "proration_behavior", "proration_date", "expand")


def proration_of(call: Call) -> Proration:
    """
    Raises:
        ApiError: 400 for a `proration_behavior` that Stripe does not know.
    """
    wanted = forms.text(call.params, "proration_behavior") or "create_prorations"
    for known in PRORATIONS:
        if known == wanted:
            return known
    raise invalid(f"Invalid proration_behavior: must be one of {', '.join(PRORATIONS)}", "proration_behavior")


def read_items(
    call: Call, subscription: Subscription, entries: list[forms.Params], param: str = "items"
) -> list[Item]:
    """The items afterwards: those named by id are changed or deleted, the others added.

    Raises:
        ApiError: 400 for what Stripe refuses, and for a subscription without items.
    """
    items = {item.id: item for item in subscription.items}
    for number, wanted in enumerate(entries):
        at = f"{param}[{number}]"
        if not isinstance(wanted, dict):
            raise invalid("Invalid array", param)
        forms.known(wanted, ("id", "price", "quantity", "deleted", "metadata", "clear_usage"), at)
        item = _item(call, subscription, items, wanted, at)
        if forms.boolean(wanted, "deleted"):
            del items[item.id]
        else:
            items[item.id] = item
    if not items:
        raise invalid("A subscription must have at least one active plan.", param)
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
        metadata = forms.merged_metadata(wanted, old.metadata)
        quantity = quantity_of(wanted, at, old.quantity)
        return Item(id, price or old.price, quantity, old.created, start, end, metadata, old.tax_rates)
    if price is None:
        raise missing(f"{at}[price]")
    if any(item.price.id == price.id for item in items.values()):
        raise invalid(
            f"Cannot add multiple subscription items with the same plan: {price.id}", f"{at}[price]"
        )
    first, now = subscription.items[0], call.account.now
    start, end, quantity = first.current_period_start, first.current_period_end, quantity_of(wanted, at, 1)
    metadata = forms.merged_metadata(wanted, {})
    return Item(call.account.new_id("si"), price, quantity, now, start, end, metadata)


def quantity_of(wanted: forms.Params, at: str, default: int) -> int:
    quantity = forms.integer(wanted, "quantity", prefix=at)
    if quantity is not None and quantity < 0:
        raise invalid("This value must be greater than or equal to 0.", f"{at}[quantity]")
    return default if quantity is None else quantity


def change_items(
    call: Call, subscription: Subscription, items: list[Item], proration: Proration, behavior: str
) -> None:
    """
    Raises:
        ApiError: 402 where the payment has to go through and does not.
    """
    try:
        at = forms.integer(call.params, "proration_date")
        call.account.change_items(subscription, items, proration=proration, payment_behavior=behavior, at=at)
    except CardDeclined as error:
        raise declined(error.code) from None


def create_item(call: Call) -> Json:
    params = call.params
    forms.known(params, ("subscription", "price", "quantity", "metadata", *WITHOUT_EFFECT))
    subscription = call.subscription(forms.required(params, "subscription"), "subscription")
    items = read_items(call, subscription, [_wanted(params)])
    _change(call, subscription, items)
    return _answer(call, items[-1], subscription)


def update_item(call: Call) -> Json:
    params = call.params
    forms.known(params, ("price", "quantity", "metadata", *WITHOUT_EFFECT))
    subscription, item = _found(call)
    items = read_items(call, subscription, [_wanted(params) | {"id": item.id}])
    _change(call, subscription, items)
    return _answer(call, _found(call)[1], subscription)


def _wanted(params: forms.Params) -> forms.Params:
    return {name: params[name] for name in ("price", "quantity", "metadata") if name in params}


def delete_item(call: Call) -> Json:
    forms.known(call.params, ("clear_usage", *WITHOUT_EFFECT))
    subscription, item = _found(call)
    _change(call, subscription, read_items(call, subscription, [{"id": item.id, "deleted": "true"}]))
    return {"id": item.id, "object": "subscription_item", "deleted": True}


def get_item(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    subscription, item = _found(call)
    return _answer(call, item, subscription)


def _change(call: Call, subscription: Subscription, items: list[Item]) -> None:
    if subscription.ended_at is not None:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    behavior = forms.text(call.params, "payment_behavior") or "allow_incomplete"
    change_items(call, subscription, items, proration_of(call), behavior)


def _found(call: Call) -> tuple[Subscription, Item]:
    for subscription in call.account.subscriptions.values():
        for item in subscription.items:
            if item.id == call.id and not call.other_mode:
                return subscription, item
    raise no_such("subscription_item", call.id)


def _answer(call: Call, item: Item, subscription: Subscription) -> Json:
    content = render_item(item, subscription.id, call.shape)
    return expand(call, content, forms.texts(call.params, "expand"))
