"""`price.*`, and the prices that subscriptions show: every lookup key that a price was seen with is kept."""

from ...db.models import Price
from ...stripe.events import StripeEvent
from ...stripe.objects import MAX_ID_LENGTH, SeenPrice, seen_prices
from ..unit_of_work import UnitOfWork


def price_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """`price.created`, `price.updated`, `price.deleted`: who pays a deleted price keeps paying it."""
    learn_prices(event, unit_of_work)


def learn_prices(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Keep what the event shows of prices. Nothing is written for what is known."""
    for seen in seen_prices(event.object):
        row = unit_of_work.find(Price, seen.id)
        keys = _keys(row.lookup_keys if row else {}, seen, event.created)
        product = seen.product_id or (row.product_id if row else None)
        if row is None:
            unit_of_work.add(Price, seen.id, product_id=product, lookup_keys=keys)
        else:
            unit_of_work.change(row, product_id=product, lookup_keys=keys)


def _keys(known: dict[str, int], seen: SeenPrice, created: int) -> dict[str, int]:
    """The lookup keys with the one that is seen: each stands from when (Unix seconds) it was first seen."""
    key = seen.lookup_key
    if key is None or len(key) > MAX_ID_LENGTH:
        return known
    return known | {key: min(created, known.get(key, created))}
