"""The check of what users bought twice: two checkouts that were open at once, and both paid."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy.orm import aliased
from sqlmodel import and_, col, func, or_, select

from ..db import Database
from ..db.models import OpenedSession, Subscription
from ..db.ownership import owned_by
from ..entitlements import Duplicate, duplicates
from .finding import LIVE, MOST, Check, Context, Finding, Scope, counted, named

RECENT_SECONDS = 2 * 86_400
"""A session is open for a day at most."""


class Bought(NamedTuple):
    """What a user bought twice, and as whose customer."""

    user_id: str
    customer_id: str | None
    duplicate: Duplicate


async def bought_twice(database: Database, users: Collection[str]) -> list[Bought]:
    """What these users bought twice."""
    found = []
    for user_id in users:
        async with database.reading() as session:
            own = (await owned_by(session, user_id)).subscriptions
        customers = {each.id: each.customer_id for each in own}
        found += [Bought(user_id, customers[each.subscription_id], each) for each in duplicates(own)]
    return found


def recent_buyers(now: int) -> Any:
    """The ids of the users who opened a checkout session lately and have several subscriptions. `now` in Unix
    seconds."""
    user_id = col(OpenedSession.user_id)
    return (
        select(OpenedSession.user_id)
        .join(Subscription, col(Subscription.user_id) == user_id)
        .where(col(OpenedSession.opened_at) >= now - RECENT_SECONDS)
        .group_by(user_id)
        .having(func.count(func.distinct(Subscription.id)) > 1)
    )


def _candidates() -> Any:
    """The ids of the users with a live subscription and another one that is live, or that had a trial as it
    had."""
    other = aliased(Subscription)
    tried = and_(col(Subscription.trial_end).is_not(None), col(other.trial_end).is_not(None))
    beside = or_(col(other.status).in_(LIVE), tried)
    same_user = and_(col(other.user_id) == col(Subscription.user_id), col(other.id) != col(Subscription.id))
    live = col(Subscription.status).in_(LIVE)
    return select(Subscription.user_id).join(other, same_user).where(live, beside).distinct()


async def subscriptions_are_bought_once(context: Context, scope: Scope | None) -> list[Finding]:
    if scope is not None:
        users = [scope.user_id] if scope.user_id is not None else []
    else:
        async with context.database.reading() as session:
            query = _candidates().order_by(col(Subscription.user_id)).limit(MOST)
            users = [str(user_id) for user_id in await session.exec(query)]
    found = await bought_twice(context.database, users)
    if not found:
        return []
    ids = [each.duplicate.subscription_id for each in found]
    return [
        Finding(
            "error",
            f"{counted(len(ids), 'subscription')} bought twice, by two checkouts that were open at once: "
            f"{named(ids)}.",
            "Cancel the later one in Stripe's Dashboard, and refund it: GET /internal/users/{user_id} has "
            "both.",
            "A subscription was bought twice" if len(ids) == 1 else "Subscriptions were bought twice",
            ids,
        )
    ]


CHECKS = (
    Check(
        "bought-twice",
        "No user has bought a subscription twice.",
        subscriptions_are_bought_once,
        of_account=True,
        slow=True,
    ),
)
