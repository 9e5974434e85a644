"""What the handlers of subscriptions and customers share: is this event's snapshot the newest?"""

from typing import Any

from ...db.models import Customer, Subscription
from ...stripe.events import StripeEvent
from ...stripe.ordering import READING, Judgement, Position, customer_position, position
from ..unit_of_work import Reapplied, UnitOfWork


def current_position(row: Subscription | Customer | None) -> Position | None:
    """Where the snapshot that the record holds stands; None while it holds none."""
    if row is None or row.snapshot_rank is None or row.snapshot_created is None:
        return None
    if isinstance(row, Customer):
        return customer_position(row.snapshot_rank, row.snapshot_created)
    return Position(row.snapshot_rank, row.snapshot_created)


READING_MARGIN_SECONDS = 2
"""How far Stripe's clock of events and that of its API may differ."""


def is_reading(event_id: str | None) -> bool:
    """Whether the snapshot was read from Stripe's API, rather than sent by Stripe."""
    return event_id is not None and event_id.startswith(READING)


def is_near_a_fetched_state(
    event: StripeEvent, row: Subscription | Customer, unit_of_work: UnitOfWork
) -> bool:
    """Whether a fetched state and an event are so close that either may be newer: fetch again."""
    return (
        unit_of_work.reapplied is None  # that was decided when the event came
        and row.snapshot_created is not None
        and is_reading(event.id) != is_reading(row.snapshot_event_id)
        and abs(event.created - _seen_at(row, row.snapshot_created)) <= READING_MARGIN_SECONDS
    )


def _seen_at(row: Subscription | Customer, snapshot_created: int) -> int:
    """When the record's snapshot was made; a deletion's position is later (see `ordering`)."""
    if isinstance(row, Customer) and row.deleted and row.deleted_at is not None:
        return row.deleted_at
    return snapshot_created


def judge_snapshot(
    event: StripeEvent, row: Subscription | Customer, unit_of_work: UnitOfWork
) -> Judgement | None:
    """The newest snapshot with this event counted; None where the record already holds it."""
    if (known := unit_of_work.reapplied) is not None and known.id == row.id:
        return _judge_again(event, row, known)
    if (reading := _judge_reading(event, row, unit_of_work)) is not None:
        return reading
    snapshots = unit_of_work.history.get(row.id)
    if snapshots is not None:
        snapshots.add(event)
        return snapshots.judge()
    current, place = current_position(row), position(event)
    if current is not None and place < current:
        return None
    return Judgement(event, place, burst=1)


def _judge_again(event: StripeEvent, row: Subscription | Customer, known: Reapplied) -> Judgement | None:
    """While a record is reapplied: its newest snapshot is the one that it names."""
    place = current_position(row)
    if place is None or event.id != known.newest_event_id:
        return None
    return Judgement(event, place, row.snapshot_burst, certain=not known.needs_refresh)


def _judge_reading(
    event: StripeEvent, row: Subscription | Customer, unit_of_work: UnitOfWork
) -> Judgement | None:
    """A fetched state is newer than the record as it was before the request, whatever the timestamps say.

    The inbox has made sure that the record has not changed since; so a change that is made within a second
    of an event holds at once. Only an end is never undone.
    """
    current, place = current_position(row), position(event)
    if unit_of_work.read_at_version is None:
        return None
    if current is not None and place.rank < current.rank:
        return None
    if current is None or place > current:
        return Judgement(event, place, burst=1)
    return Judgement(event, current, burst=row.snapshot_burst + 1)


def ordering_values(judgement: Judgement, unsure: bool) -> dict[str, Any]:
    """The columns that say where the record's snapshot stands."""
    return {
        "snapshot_rank": judgement.position.rank,
        "snapshot_created": judgement.position.created,
        "snapshot_burst": judgement.burst,
        "snapshot_event_id": judgement.newest.id,
        "needs_refresh": unsure or not judgement.certain,
    }
