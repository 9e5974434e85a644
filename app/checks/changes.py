"""Checks of what is to change at Stripe: seats that could not be synced, schedules that plan nothing."""

from sqlmodel import col, select

from ..db.models import SeatRequest, Subscription
from ..stripe.schedules import LIVE as LIVE_SCHEDULES
from .finding import LIVE, MOST, Check, Context, Finding, Scope, counted, named

FAILED_ATTEMPTS = 3
"""Fewer failures are those of an outage that is over soon."""
UNFINISHED_SECONDS = 600
"""So long after it was made a schedule that plans nothing is no longer under way."""


async def seats_are_synced(context: Context, scope: Scope | None) -> list[Finding]:
    pending = col(SeatRequest.wanted) != col(SeatRequest.done)
    query = select(SeatRequest).where(pending, col(SeatRequest.attempts) >= FAILED_ATTEMPTS)
    if scope is not None:
        query = query.where(col(SeatRequest.user_id) == scope.user_id)
    async with context.database.reading() as session:
        rows = list(await session.exec(query.order_by(col(SeatRequest.user_id)).limit(MOST)))
    if not rows:
        return []
    users = [row.user_id for row in rows]
    return [
        Finding(
            "error",
            f"{counted(len(rows), 'user')} whose seats are not what was asked for: {named(users)}. "
            f"{rows[0].last_error}",
            "See GET /internal/users/{user_id}/seats. It is tried again by itself; a new request is tried "
            "at once.",
            "Seats are not synced",
            users,
        )
    ]


async def schedules_plan_something(context: Context, scope: Scope | None) -> list[Finding]:
    """What a process leaves that is killed between the two calls that plan a change."""
    query = select(Subscription).where(
        col(Subscription.schedule_id).is_not(None), col(Subscription.status).in_(LIVE)
    )
    if scope is not None:
        query = query.where(col(Subscription.id).in_(scope.subscriptions))
    async with context.database.reading() as session:
        rows = list(await session.exec(query.order_by(col(Subscription.id)).limit(MOST)))
    found = [row.id for row in rows if _plans_nothing(row, context.now)]
    if not found:
        return []
    return [
        Finding(
            "hint",
            f"{counted(len(found), 'subscription')} with a schedule that plans nothing: {named(found)}. "
            "Stripe's portal can neither change nor cancel such a subscription.",
            "POST /internal/subscriptions/{subscription_id}/resume releases it, unless somebody made it on "
            "purpose.",
            "A schedule plans nothing",
            found,
        )
    ]


def _plans_nothing(row: Subscription, now: int) -> bool:
    """Whether its schedule has one phase only. The last phase of a planned change is over within a day."""
    known = (row.schedules or {}).get(row.schedule_id or "")
    if known is None or known["status"] not in LIVE_SCHEDULES:
        return False
    return len(known["phases"]) < 2 and known["at"] <= now - UNFINISHED_SECONDS


CHECKS = (
    Check("seats", "Every subscription pays for the members.", seats_are_synced, True, of_account=True),
    Check("schedules", "Every schedule plans a change.", schedules_plan_something, True, of_account=True),
)
