"""Plans again what was set aside for a change at once, where that change was not made.

A planned change is released before another one is made at once: two calls to Stripe. What was planned is
stored before them and deleted after them. A process that is killed in between leaves the row. Some minutes
later any process reads the subscription: if it has neither changed nor ended, and nothing else is planned,
what was planned is planned again.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import CursorResult, delete, or_, update
from sqlmodel import col, select

from ..backoff import LONGEST_WAIT_SECONDS
from ..db.models import SetAsidePlan
from ..errors import Conflict, NotFound, ServiceError, StripeRefused
from ..service import Service
from ..stripe.objects import as_dict
from .before_changes import read_current
from .customers import stripe_of
from .scheduled_changes import (
    Planned,
    check_replaceable,
    items_planned,
    plan_change,
    planned_items,
    plans_exactly,
)
from .stripe_changes import Current, items_of, make_change

log = structlog.get_logger(__name__)

POLL_SECONDS = 30.0
LEASE_SECONDS = 180
"""How long nobody looks at a row: longer than all calls of one change may take."""
AT_ONCE = 20
ACTOR = "set-aside-plan"
"""Who has planned it again, in the audit trail."""


async def set_aside(service: Service, current: Current, planned: Planned | None) -> None:
    """Store what is planned, before it is released. None deletes what was set aside before."""
    row = planned and SetAsidePlan(
        subscription_id=current.id,
        at=planned.at,
        items={
            "planned": [[each.held.price_id, each.held.quantity] for each in planned.items],
            "held": _held(current),
        },
        due_at=int(service.clock()) + LEASE_SECONDS,
    )
    async with service.database.session() as session:
        own = col(SetAsidePlan.subscription_id) == current.id
        await (await session.connection()).execute(delete(SetAsidePlan).where(own))
        if row is not None:
            session.add(row)


async def forget(service: Service, current: Current) -> None:
    """Delete what was set aside: nothing has to be restored. A row that stays is looked at later."""
    try:
        await set_aside(service, current, None)
    except Exception as error:
        log.warning("plan_still_set_aside", subscription_id=current.id, error=type(error).__name__)


async def restore_due(service: Service) -> int:
    """Restore the plans that were set aside some minutes ago and are still there; how many there were."""
    rows = await _due(service)
    for row in rows:
        leased = int(service.clock()) + LEASE_SECONDS
        if await _lease(service, row, leased):
            try:
                await _restore(service, row)
            except ServiceError as error:
                log.warning("plan_not_restored", subscription_id=row.subscription_id, error=error.detail)
                if not isinstance(error, StripeRefused):
                    continue  # it comes again when the lease has expired
            await _delete(service, row.subscription_id, leased)
    return len(rows)


async def _due(service: Service) -> Sequence[SetAsidePlan]:
    now = int(service.clock())
    lost = col(SetAsidePlan.due_at) > now + LEASE_SECONDS + LONGEST_WAIT_SECONDS  # by a clock set back since
    query = select(SetAsidePlan).where(or_(col(SetAsidePlan.due_at) <= now, lost))
    async with service.database.reading() as session:
        return list(await session.exec(query.order_by(col(SetAsidePlan.due_at)).limit(AT_ONCE)))


async def _lease(service: Service, row: SetAsidePlan, until: int) -> bool:
    same = (
        col(SetAsidePlan.subscription_id) == row.subscription_id,
        col(SetAsidePlan.due_at) == row.due_at,
    )
    async with service.database.session() as session:
        leasing = update(SetAsidePlan).where(*same).values(due_at=until)
        result: CursorResult[Any] = await (await session.connection()).execute(leasing)
        return result.rowcount == 1


async def _delete(service: Service, subscription_id: str, leased: int) -> None:
    """Delete the row, unless it was written again meanwhile."""
    own = (col(SetAsidePlan.subscription_id) == subscription_id, col(SetAsidePlan.due_at) == leased)
    async with service.database.session() as session:
        await (await session.connection()).execute(delete(SetAsidePlan).where(*own))


async def _restore(service: Service, row: SetAsidePlan) -> None:
    """Plan again what was set aside, unless the subscription has changed since.

    Raises:
        StripeRefused, StripeUnavailable, Unavailable: when it cannot be done, or not now.
    """
    api, _ = stripe_of(service)
    try:
        current = await read_current(service, row.subscription_id)
        check_replaceable(current)
    except (Conflict, NotFound):
        return  # it has ended, or somebody else plans its changes
    if not _is_as_it_was(current, row):
        return
    items, now = items_planned(current, [tuple(each) for each in row.items["planned"]]), current.read_at
    await make_change(
        service,
        current,
        plan_change(api, current, items, row.at),
        actor=ACTOR,
        action="subscription.change_scheduled",
        is_made=lambda content: plans_exactly(content, items, row.at, now),
    )


def _is_as_it_was(current: Current, row: SetAsidePlan) -> bool:
    """Whether nothing was changed, planned or begun since, and the planned moment is still to come."""
    values = current.values
    waits = as_dict(current.content.get("pending_update")) or planned_items(current) is not None
    ends = values["cancel_at_period_end"] or values["cancel_at"] is not None
    return not waits and not ends and row.at > current.read_at and _held(current) == row.items["held"]


def _held(current: Current) -> list[list[Any]]:
    return [list(each) for each in items_of(current.values)]


@asynccontextmanager
async def restoring_plans(service: Service) -> AsyncIterator[None]:
    """Look at what was set aside while the block runs, where there is a key for Stripe's API."""
    if service.stripe is None:
        yield
        return
    task = asyncio.create_task(_run(service))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(service: Service) -> None:
    """Until it is canceled. A database or a Stripe that is down is waited for."""
    while True:
        try:
            await restore_due(service)
        except Exception as error:
            log.warning("plans_not_restored", error=type(error).__name__)
        await asyncio.sleep(POLL_SECONDS)
