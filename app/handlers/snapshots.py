"""What the handlers of subscriptions and customers share: is this event's snapshot the newest?"""

from typing import Any

from ..models import Customer, Subscription
from ..ordering import Judgement, Position, judge, position
from ..stripe_events import StripeEvent
from ..unit_of_work import UnitOfWork


def current_position(row: Subscription | Customer | None) -> Position | None:
    """Where the snapshot that the record holds stands; None while it holds none."""
    if row is None or row.snapshot_rank is None or row.snapshot_created is None:
        return None
    return Position(row.snapshot_rank, row.snapshot_created)


def judge_snapshot(
    event: StripeEvent, row: Subscription | Customer, unit_of_work: UnitOfWork
) -> Judgement | None:
    """The newest snapshot with this event counted; None where the record already holds it."""
    earlier = unit_of_work.history.get(row.id)
    if earlier is not None:
        return judge([*earlier, event])
    current, place = current_position(row), position(event)
    if current is not None and place < current:
        return None
    return Judgement(event, place, burst=1)


def ordering_values(judgement: Judgement) -> dict[str, Any]:
    """The columns that say where the record's snapshot stands."""
    return {
        "snapshot_rank": judgement.position.rank,
        "snapshot_created": judgement.position.created,
        "snapshot_burst": judgement.burst,
        "snapshot_event_id": judgement.newest.id,
        "needs_refresh": not judgement.settled,
    }
