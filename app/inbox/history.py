"""The earlier events of an object: loaded where positions alone leave open which snapshot is the newest."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

import orjson

from ..concurrency import Slices
from ..db import Batch, Row
from ..db.models import Customer, Price, Record, Subscription
from ..plans import price_ids
from ..stripe.events import StripeEvent
from ..stripe.objects import as_text
from ..stripe.ordering import Snapshots, contested, position
from .handlers.snapshots import current_position
from .kinds import KINDS
from .stored_snapshots import StoredSnapshots
from .unit_of_work import UnitOfWork

PRICE_COLUMNS = tuple(Price.model_fields)
EARLIER_SNAPSHOTS = 20
"""How many snapshots from before a contested second are read, to find the one that a circle returns to."""


async def load_history(
    batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent], stored: StoredSnapshots
) -> None:
    """Load the earlier events of the objects of `events` that are contested, into the unit of work."""
    arrivals: dict[tuple[type[Record], str], list[StripeEvent]] = defaultdict(list)
    for event in events:
        kind = KINDS.get(as_text(event.object.get("object")) or "")
        is_snapshot = not event.problem and event.read_for is None
        if kind in (Subscription, Customer) and event.object_id and is_snapshot:
            arrivals[kind, event.object_id].append(event)
    slices = Slices()
    for (model, object_id), group in arrivals.items():
        row = cast(Subscription | Customer | None, unit_of_work.find(model, object_id))
        current = current_position(row)
        burst = row.snapshot_burst if row else 0
        if contested(current, burst, [position(event) for event in group]):
            since = min(event.created for event in group)
            bodies = await _history(batch, object_id, min(since, current.created)) if current else []
            arriving = {event.id for event in group}  # one that is retried may have been applied elsewhere
            known = unit_of_work.history[object_id] = Snapshots()
            for body in bodies:
                snapshot = stored.of(body)
                if snapshot is not None and snapshot.id not in arriving:
                    known.add_stored(snapshot, body)
                await slices.rest()


async def load_prices(batch: Batch, unit_of_work: UnitOfWork) -> None:
    """Load the prices that the loaded subscriptions had before, where the catalogue lists them by no id."""
    named = {
        price
        for row in unit_of_work.loaded(Subscription)
        for price in price_ids(row.items, row.item_history, row.plan_id)
    }
    prices = unit_of_work.prices
    missing = {price for price in named if price not in prices.known and prices.is_unmapped(price)}
    if missing:
        marks = ", ".join("?" * len(missing))
        select = f"SELECT {', '.join(PRICE_COLUMNS)} FROM billing_price"  # noqa: S608
        rows = await batch.fetch(f"{select} WHERE id IN ({marks})", *sorted(missing))
        unit_of_work.fill(Price, [_decoded_price(row) for row in rows])


def _decoded_price(row: Row) -> Row:
    return row | {name: _decoded(row[name]) for name in ("lookup_keys", "shown", "currencies")}


def _decoded(value: Any) -> Any:
    """JSON as the drivers give it: both as text."""
    return orjson.loads(value) if isinstance(value, str) else value


async def _history(batch: Batch, object_id: str, since: int) -> list[str]:
    """The bodies of the object's applied events, from `since` (Unix seconds) on, and some from before."""
    select = (
        "SELECT body FROM billing_event "
        "WHERE object_id = ? AND state = 'processed' AND source <> 'internal' AND created"
    )
    recent = await batch.fetch(f"{select} >= ?", object_id, since)
    earlier = await batch.fetch(
        f"{select} < ? ORDER BY created DESC LIMIT ?", object_id, since, EARLIER_SNAPSHOTS
    )
    return [row["body"] for row in recent + earlier]
