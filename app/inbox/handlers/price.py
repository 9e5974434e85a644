"""`price.*` and `product.*`, and the prices that subscriptions show.

Every lookup key that a price was seen with is kept. What it costs is as the newest event of its own says.
"""

import structlog

from ...db.models import Price, Product, Subscription
from ...errors import MalformedEvent
from ...plans import held_items, line_to_add
from ...signals import price_unmapped
from ...stripe.events import StripeEvent
from ...stripe.objects import ENDED, MAX_ID_LENGTH, SeenPrice, as_id, prices_before, seen_prices
from ...stripe.price_values import currency_values, current_lookup_key, price_values, product_values
from ..unit_of_work import UnitOfWork
from .snapshots import is_reading

log = structlog.get_logger(__name__)


def price_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Stores the price's lookup keys and product, by which the catalogue finds its plan, and what it costs.

    A deletion takes nothing of that back, but the price is no longer sold: a subscriber keeps paying it.
    """
    learn_prices(event, unit_of_work)
    price, place = unit_of_work.find(Price, as_id(event.object.get("id"))), shown_at(event)
    if price is None:
        return
    if place >= (price.shown_at or ""):
        deleted = event.type.endswith(".deleted")
        if is_bare(event):
            shown, key = (price.shown or price_values({})) | {"active": False}, price.lookup_key
        else:
            shown, key = price_values(event.object, deleted=deleted), current_lookup_key(event.object)
        unit_of_work.change(price, shown=shown, lookup_key=key, shown_at=place)
    currencies = currency_values(event.object)
    if currencies is not None and place >= (price.currencies_at or ""):
        unit_of_work.change(price, currencies=currencies, currencies_at=place)


def product_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Stores what the product is called. A deletion keeps the name: old prices still have it."""
    product_id, place = as_id(event.object.get("id")), shown_at(event)
    if product_id is None:
        raise MalformedEvent("The object has no usable id.")
    product = unit_of_work.find(Product, product_id) or unit_of_work.add(Product, product_id)
    if place >= (product.shown_at or ""):
        values = product_values(event.object, deleted=event.type.endswith(".deleted"))
        unit_of_work.change(product, **({"active": False} if is_bare(event) else values), shown_at=place)


def is_bare(event: StripeEvent) -> bool:
    """Whether the event tells of a deletion, and nothing of what was deleted: Stripe has it no longer."""
    return event.object.get("deleted") is True and "active" not in event.object


def shown_at(event: StripeEvent) -> str:
    """Where the statement stands among all of its object: the greatest is the newest, whatever comes first.

    Of one second, a deletion is the last, and what was fetched later than what Stripe sent. Of two updates
    within one second it is not known which is newer: until one is fetched, the greater id counts.
    """
    step = event.type.rpartition(".")[2]
    rank = 3 if step == "deleted" else 2 if is_reading(event.id) else 0 if step == "created" else 1
    return f"{event.created:012}:{rank}:{event.id}"


def learn_prices(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Keep what the event shows of prices. Nothing is written for what is known."""
    before = prices_before(event.object, event.previous_attributes)
    sightings = [(seen, event.created) for seen in seen_prices(event.object)]
    for seen, at in [*((each, event.created - 1) for each in before), *sightings]:
        row = unit_of_work.find(Price, seen.id)
        keys = _keys(row.lookup_keys if row else {}, seen, at)
        product = seen.product_id or (row.product_id if row else None)
        if row is None:
            unit_of_work.add(Price, seen.id, product_id=product, lookup_keys=keys)
        else:
            unit_of_work.change(row, product_id=product, lookup_keys=keys)


def announce_unmapped(event: StripeEvent, unit_of_work: UnitOfWork, subscription: Subscription) -> None:
    """Announce the prices of a subscription that the catalogue does not list, each once."""
    if subscription.status is None or subscription.status in ENDED or unit_of_work.reapplied is not None:
        return
    prices = unit_of_work.prices
    if not any(prices.is_unmapped(item["price_id"], item["product_id"]) for item in subscription.items):
        return
    for item in held_items(subscription.items, subscription.item_history, unit_of_work.prices):
        price = unit_of_work.find(Price, item.price_id) if item.unmapped else None
        if price is None or price.unmapped_at is not None:
            continue
        unit_of_work.change(price, unmapped_at=unit_of_work.now)
        log.warning("price_unmapped", event_id=event.id, subscription_id=subscription.id, price_id=price.id)
        unit_of_work.announce(
            price_unmapped,
            event,
            cause=price.id,
            customer_id=subscription.customer_id,
            subscription_id=subscription.id,
            price_id=price.id,
            product_id=price.product_id,
            gives=item.offer.id if item.offer is not None else "nothing",
            remedy=line_to_add(price.id, item.offer),
        )


def _keys(known: dict[str, int], seen: SeenPrice, created: int) -> dict[str, int]:
    """The lookup keys with the one that is seen: each stands from when (Unix seconds) it was first seen."""
    key = seen.lookup_key
    if key is None or len(key) > MAX_ID_LENGTH:
        return known
    return known | {key: min(created, known.get(key, created))}
