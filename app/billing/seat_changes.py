"""Makes the quantity at Stripe what `sync_seats` has asked for. A lease keeps one process at a row."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import ColumnElement, CursorResult, or_, update
from sqlmodel import col, select

from ..backoff import BACKOFF_SECONDS, LONGEST_WAIT_SECONDS
from ..db.models import SeatRequest
from ..entitlements import JudgedSubscription
from ..errors import Conflict, InvalidRequest, ServiceError
from ..plans import Plan
from ..service import Service
from ..stripe.client import Answer, StripeApi
from .before_changes import read_current
from .change_targets import Change, Target, TargetItem, target_of
from .customers import LIVE, stripe_of
from .quantities import counts_units
from .scheduled_changes import check_replaceable, plan_change, planned_items
from .stripe_changes import Current, make_change

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
LEASE_SECONDS = 180
"""How long nobody else takes a row: longer than all calls of one change may take."""
AT_ONCE = 20


class SeatChanges:
    """The changes of seats that are due, of one process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._random = random.Random()

    async def run(self) -> None:
        """Make changes until it is canceled. A database or a Stripe that is down is waited for."""
        while True:
            try:
                await self.make_due()
            except Exception as error:
                log.warning("seats_not_synced", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def make_due(self) -> int:
        """Make the changes that are due; how many were tried."""
        tried = 0
        for row in await self._due():
            if await self._lease(row):  # only now: those before it may have taken minutes
                tried += 1
                await self._make(row)
        return tried

    async def _make(self, row: SeatRequest) -> None:
        try:
            subscription_id, quantity = await sync(self._service, row)
        except ServiceError as error:
            await self._failed(row, error.detail)
        except Exception as error:
            await self._failed(row, type(error).__name__)
        else:
            await self._done(row, subscription_id, quantity)

    async def _due(self) -> Sequence[SeatRequest]:
        """The rows that are due, and that no process has."""
        now = int(self._service.clock())
        lost = col(SeatRequest.leased_until) > now + LEASE_SECONDS + LONGEST_WAIT_SECONDS
        is_due = or_(col(SeatRequest.due_at) <= now, col(SeatRequest.due_at) > now + LONGEST_WAIT_SECONDS)
        is_free = or_(col(SeatRequest.leased_until) <= now, lost)
        is_pending = col(SeatRequest.wanted) != col(SeatRequest.done)
        query = select(SeatRequest).where(is_pending, is_due, is_free).order_by(col(SeatRequest.due_at))
        async with self._service.database.reading() as session:
            return list(await session.exec(query.limit(AT_ONCE)))

    async def _lease(self, row: SeatRequest) -> bool:
        """Take the row, unless it has been taken, or asked for again, since it was read."""
        same = (
            col(SeatRequest.user_id) == row.user_id,
            col(SeatRequest.leased_until) == row.leased_until,
            col(SeatRequest.wanted) == row.wanted,
            col(SeatRequest.done) == row.done,
            col(SeatRequest.due_at) == row.due_at,
        )
        return await self._update(*same, leased_until=int(self._service.clock()) + LEASE_SECONDS) == 1

    async def _done(self, row: SeatRequest, subscription_id: str | None, quantity: int | None) -> None:
        """What was asked for meanwhile is still pending."""
        await self._update(
            col(SeatRequest.user_id) == row.user_id,
            done=row.wanted,
            subscription_id=subscription_id,
            quantity=quantity,
            done_at=int(self._service.clock()),
            leased_until=0,
            attempts=0,
            last_error=None,
        )

    async def _failed(self, row: SeatRequest, error: str) -> None:
        """It is tried again, later each time; a new request is tried at once."""
        log.warning("seats_not_synced", user_id=row.user_id, error=error)
        wait = BACKOFF_SECONDS[min(row.attempts, len(BACKOFF_SECONDS) - 1)]
        due_at = int(self._service.clock()) + round(wait * (1 + self._random.uniform(0, 0.1)))
        own = col(SeatRequest.user_id) == row.user_id
        same = col(SeatRequest.wanted) == row.wanted
        await self._update(own, same, due_at=due_at, attempts=row.attempts + 1, last_error=error)
        await self._update(own, leased_until=0)

    async def _update(self, *where: ColumnElement[bool], **values: Any) -> int:
        statement = update(SeatRequest).where(*where).values(**values)
        async with self._service.database.session() as session:
            result: CursorResult[Any] = await (await session.connection()).execute(statement)
            return result.rowcount


async def sync(service: Service, row: SeatRequest) -> tuple[str | None, int | None]:
    """Set the quantity; the subscription and the quantity that it has then, None where there is none.

    Raises:
        Conflict, InvalidRequest: when the plan does not sell so many, or somebody else's schedule manages it.
        StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    entitlements = await service.limits.load(row.user_id)
    seats = _subscription(entitlements.subscriptions, entitlements.subscription)
    if seats is None:
        return None, None
    current = await read_current(service, seats.id)
    plan = current.item.plan
    if plan is None or not counts_units(plan):
        return None, None
    quantity = quantity_of(plan, row.members)
    target = await target_of(service, api, current, Change(quantity=quantity))
    if target.params:
        await _set(service, api, current, target, row.actor)
    await _follow_planned(service, api, current, row.members, row.actor)
    return current.id, quantity


def quantity_of(plan: Plan, members: int) -> int:
    """The quantity that pays for the members: never fewer, and at least what the plan sells.

    Raises:
        InvalidRequest: when the plan does not sell so many.
    """
    if plan.max_quantity is not None and members > plan.max_quantity:
        raise InvalidRequest(
            f"{members} members: plan {plan.id!r} is sold for up to {plan.max_quantity}. Remove members, or "
            "put the subscription on another plan."
        )
    return max(members, plan.min_quantity or 1)


def _subscription(
    judged: Sequence[JudgedSubscription], main: JudgedSubscription | None
) -> JudgedSubscription | None:
    """The subscription that is sold per seat: the main one, else the first of those that go on."""
    ordered = sorted(judged, key=lambda each: (each is not main, each.id))
    for each in ordered:
        if each.status in LIVE and not each.secondary and each.plan is not None and counts_units(each.plan):
            return each
    return None


async def _set(service: Service, api: StripeApi, current: Current, target: Target, actor: str) -> None:
    change = api.post(current.path, items=target.params, proration_behavior="create_prorations")
    await make_change(service, current, change, actor=actor, action="subscription.seats_synced")


async def _follow_planned(
    service: Service, api: StripeApi, current: Current, members: int, actor: str
) -> None:
    """A planned change keeps what it plans, with the quantity that the members need then."""
    if current.values["schedule_id"] is None:
        return
    planned = planned_items(current)
    if planned is None:
        return
    items = [_for_members(each, members) for each in planned.items]
    if [each.held.quantity for each in items] == [each.held.quantity for each in planned.items]:
        return
    try:
        check_replaceable(current)
    except Conflict as error:
        log.warning("schedule_not_changed", subscription_id=current.id, error=error.detail)
        return
    now_at_stripe = await read_current(service, current.id)

    async def change() -> Answer:
        return await plan_change(api, now_at_stripe, items, planned.at)

    await make_change(service, now_at_stripe, change(), actor=actor, action="subscription.change_scheduled")


def _for_members(item: TargetItem, members: int) -> TargetItem:
    plan = item.held.plan
    if plan is None or not counts_units(plan):
        return item
    return TargetItem(item.held.with_quantity(quantity_of(plan, members)), item.before)


@asynccontextmanager
async def syncing_seats(service: Service) -> AsyncIterator[None]:
    """Make the changes of seats that are due while the block runs, where there is a key for Stripe's API."""
    if service.stripe is None:
        yield
        return
    task = asyncio.create_task(SeatChanges(service).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
