"""Which records an object of Stripe's names: they are locked and loaded before its event is applied."""

from .objects import (
    Values,
    as_id,
    as_object_id,
    as_text,
    billed_subscriptions,
    prices_before,
    seen_prices,
)
from .purchases import purchase_id
from .schedules import scheduled_subscription

NAMED = ("subscription", "invoice", "customer", "price", "product", "purchase")
PARTS_OF_INVOICES = frozenset({"credit_note", "invoice_payment"})


def named_records(content: Values, previous: Values | None = None) -> dict[str, set[str]]:
    """The ids of every record that the object may touch, by the kind of record."""
    names: dict[str, set[str]] = {name: set() for name in NAMED}
    kind = as_text(content.get("object"))
    own_id = as_id(content.get("id")) if kind in ("price", "product") else as_object_id(content.get("id"))
    if own_id and kind in names and kind != "purchase":
        names[kind].add(own_id)
    if customer := as_object_id(content.get("customer")):
        names["customer"].add(customer)
    names["price"] |= {price.id for price in (*seen_prices(content), *prices_before(content, previous))}
    if kind == "invoice":
        names["subscription"] |= billed_subscriptions(content)
    if kind in PARTS_OF_INVOICES and (invoice := as_object_id(content.get("invoice"))):
        names["invoice"].add(invoice)
    if kind == "subscription_schedule" and (scheduled := scheduled_subscription(content)):
        names["subscription"].add(scheduled)
    if kind == "checkout.session" and (subscription := as_object_id(content.get("subscription"))):
        names["subscription"].add(subscription)
    if purchase := purchase_id(content):
        names["purchase"].add(purchase)
    return names
