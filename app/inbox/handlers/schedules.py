"""What is remembered of the schedules of a subscription, which plan its changes."""

from ...db.models import Subscription
from ...stripe.events import StripeEvent
from ...stripe.objects import Values, as_object_id
from ...stripe.schedules import attached_schedule, kept, newest, statement_of
from ..unit_of_work import UnitOfWork


def note_attached_schedule(event: StripeEvent, unit_of_work: UnitOfWork, subscription: Subscription) -> None:
    """Keep what a fetched subscription says of its schedule."""
    if (schedule := attached_schedule(event.object)) is not None:
        told = statement_of(schedule, event.created, event.id, fetched=True)
        remember_schedule(unit_of_work, subscription, str(as_object_id(schedule)), told)


def remember_schedule(
    unit_of_work: UnitOfWork, subscription: Subscription, schedule_id: str, told: Values
) -> None:
    """Merge a statement of a schedule; where the events leave it open, the subscription is fetched."""
    known = subscription.schedules or {}
    statement = newest(known.get(schedule_id), told)
    unit_of_work.change(subscription, schedules=kept(known | {schedule_id: statement}))
    if statement["unsure"] and unit_of_work.reapplied is None:
        unit_of_work.change(subscription, needs_refresh=True)


def is_schedule_unsure(subscription: Subscription, schedule_id: str | None) -> bool:
    """Whether the events leave open what this schedule of the subscription says."""
    known = (subscription.schedules or {}).get(schedule_id or "")
    return known is not None and bool(known["unsure"])
