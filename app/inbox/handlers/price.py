"""`price.*`, and the prices that subscriptions show: every lookup key that a price was seen with is kept."""

import structlog

from ...db.models import Price, Subscription
from ...plans import held_items, line_to_add
from ...signals import price_unmapped
from ...stripe.events import StripeEvent
from ...stripe.objects import ENDED, MAX_ID_LENGTH, SeenPrice, prices_before, seen_prices
from ..unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)


def price_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Stores the price's lookup keys and product, by which the catalogue finds its plan.

    A deletion takes nothing back: a subscriber with a deleted price keeps paying it.
    """
    learn_prices(event, unit_of_work)


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
