"""`subscription_schedule.*`: what is planned for a subscription, remembered in its record."""

from ...stripe.events import StripeEvent
from ...stripe.objects import required_id
from ...stripe.schedules import scheduled_subscription, statement_of, with_created_stage
from ..unit_of_work import UnitOfWork
from .schedules import remember_schedule
from .snapshots import is_reading
from .subscription import ensure_subscription


def subscription_schedule_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Keeps the newest statement of the schedule. One that has no subscription yet plans nothing here."""
    schedule_id = required_id(event.object, "id")
    subscription_id = scheduled_subscription(event.object)
    if subscription_id is None:
        return
    told = statement_of(event.object, event.created, event.id, fetched=is_reading(event.id))
    if event.type.endswith(".created"):
        told = with_created_stage(told)
    remember_schedule(unit_of_work, ensure_subscription(unit_of_work, subscription_id), schedule_id, told)
