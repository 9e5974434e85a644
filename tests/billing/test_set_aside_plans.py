"""A change at once that is interrupted anywhere leaves what it made, or what was planned before it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import update
from sqlmodel import select

from app.billing import set_aside_plans
from app.billing.customers import stripe_of
from app.billing.set_aside_plans import ACTOR, LEASE_SECONDS, restore_due
from app.billing.subscription_changes import change_subscription
from app.db.models import SetAsidePlan
from app.errors import StripeUnavailable
from app.service import Service
from app.simulator import DAY, Subscription

from ..shop import Shop, shop
from ..waiting import until
from .test_changes_at_once import give_card
from .test_scheduled_changes import SCHEDULES, planned, renew, schedules
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture(autouse=True)
def only_by_hand(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The service's own loop restores nothing in between."""
    if "by_itself" not in request.node.name:
        monkeypatch.setattr(set_aside_plans, "_run", lambda service: asyncio.Event().wait())


@contextmanager
def killed(here: Shop, call: str, *, before: bool = False) -> Iterator[None]:
    """The process dies right after Stripe has answered a call (or before it) whose path ends so."""
    api, _ = stripe_of(here.service)
    post = type(api).post

    async def dying(self: Any, at: str, **params: Any) -> Any:
        if before and at.endswith(call):
            raise asyncio.CancelledError
        answer = await post(self, at, **params)
        if at.endswith(call):
            raise asyncio.CancelledError
        return answer

    with pytest.MonkeyPatch.context() as patched, pytest.raises(asyncio.CancelledError):
        patched.setattr(type(api), "post", dying)
        yield


async def planning(here: Shop) -> Subscription:
    """A subscription of three seats that goes down to the starter plan at its period's end."""
    subscription = await here.bought(quantity=3)
    await here.done(path(subscription, "change"), {"plan": "starter"})
    here.account.advance(60)
    return subscription


async def upgrade(here: Shop, subscription: Subscription) -> None:
    await change_subscription(here.service, subscription.id, actor="test", quantity=4)


async def later(here: Shop) -> int:
    """How many rows a process looks at some minutes later."""
    await here.hear()
    here.account.advance(LEASE_SECONDS)
    looked_at = await restore_due(here.service)
    await here.hear()
    return looked_at


async def rows(here: Shop) -> list[SetAsidePlan]:
    async with here.service.database.reading() as session:
        return list(await session.exec(select(SetAsidePlan)))


async def test_a_kill_after_the_release_leaves_what_was_planned(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        await here.hear()
        assert await planned(here) is None and await restore_due(here.service) == 0
        assert await later(here) == 1
        assert (await planned(here))["plan"] == "starter"
        assert (await here.audited(subscription.id))[-1].actor == ACTOR
        assert await rows(here) == [] and subscription.items[0].quantity == 3
        await renew(here, subscription)
        assert await here.plan_of() == "starter"


async def test_a_kill_after_the_change_leaves_the_change(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await planning(here)
        with killed(here, f"/subscriptions/{subscription.id}"):
            await upgrade(here, subscription)
        assert await later(here) == 1
        assert await rows(here) == [] and await planned(here) is None
        await renew(here, subscription)
        assert (await stored(here, subscription))["quantity"] == 4


async def test_a_kill_before_the_release_leaves_the_plan_as_it_is(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release", before=True):
            await upgrade(here, subscription)
        assert await later(here) == 1
        assert await rows(here) == [] and len(schedules(here)) == 1
        assert (await planned(here))["plan"] == "starter"
        assert len(await here.audited(subscription.id)) == 1


async def test_a_kill_while_it_is_planned_again_is_made_good_too(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        with killed(here, SCHEDULES):
            await later(here)
        assert await later(here) == 1
        assert (await planned(here))["plan"] == "starter"
        assert await rows(here) == [] and len(schedules(here, "active")) == 1


@pytest.mark.parametrize("what", ["change", "plan", "cancel", "resume"])
async def test_what_is_asked_for_after_the_kill_takes_its_place(sqlite_database: str, what: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        here.account.advance(60)
        if what == "change":
            await here.done(path(subscription, "change"), {"quantity": 4})
            here.account.advance(60)
            await here.done(path(subscription, "change"), {"quantity": 3, "when": "now"})  # as it was
        elif what == "plan":
            await here.done(path(subscription, "change"), {"quantity": 2})
        else:
            await here.done(path(subscription, "cancel"), {"confirm": True})
            if what == "resume":
                here.account.advance(60)
                await here.done(path(subscription, "resume"))
        assert await later(here) == 0
        shown = await planned(here)
        assert (shown and shown["plan"]) == ("team" if what == "plan" else None)


@pytest.mark.parametrize("since", ["price", "end", "period"])
async def test_what_has_changed_at_stripe_since_is_left_alone(sqlite_database: str, since: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        if since == "price":
            here.account.change_quantity(subscription, 5)
        elif since == "end":
            here.account.cancel_at_period_end(subscription)
        else:
            await renew(here, subscription)
        assert await later(here) == 1
        assert await rows(here) == [] and schedules(here, "active") == []


async def test_a_change_that_is_made_or_refused_leaves_no_row(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        await upgrade(here, subscription)
        assert await rows(here) == []
        here.account.advance(60)
        await here.done(path(subscription, "change"), {"plan": "starter"})
        here.account.advance(60)
        give_card(here.account, subscription, "chargeCustomerFail")
        refused = await here.post(path(subscription, "change"), {"quantity": 5})
        assert refused.status_code == 402 and await rows(here) == []
        here.account.advance(60)
        assert await later(here) == 0


async def test_of_several_processes_one_plans_it_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored: list[str] = []

    async def restore(service: Service, row: SetAsidePlan) -> None:
        restored.append(row.subscription_id)
        await original(service, row)

    original = set_aside_plans._restore
    monkeypatch.setattr(set_aside_plans, "_restore", restore)
    async with shop(database_url) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        here.account.advance(LEASE_SECONDS)
        monkeypatch.setattr(set_aside_plans, "_due", AsyncMock(return_value=await rows(here)))  # all see it
        await asyncio.gather(*(restore_due(here.service) for _ in range(3)))
        assert len(schedules(here)) == 2 and len(schedules(here, "active")) == 1
        assert restored == [subscription.id] and await rows(here) == []


async def test_a_stripe_that_is_down_is_waited_for(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        with monkeypatch.context() as down:
            down.setattr(set_aside_plans, "read_current", AsyncMock(side_effect=StripeUnavailable("down")))
            assert await later(here) == 1 and len(await rows(here)) == 1
        assert await later(here) == 1
        assert (await planned(here))["plan"] == "starter"


async def test_a_row_of_a_clock_that_was_ahead_is_looked_at(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        async with here.service.database.session() as session:
            far = update(SetAsidePlan).values(due_at=here.account.now + 365 * DAY)
            await (await session.connection()).execute(far)
        assert await restore_due(here.service) == 1 and await rows(here) == []


async def test_the_service_plans_it_again_by_itself(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside_plans, "POLL_SECONDS", 0.01)
    async with shop(sqlite_database) as here:
        subscription = await planning(here)
        with killed(here, "/release"):
            await upgrade(here, subscription)
        here.account.advance(LEASE_SECONDS)

        async def is_done() -> bool:
            return await rows(here) == []

        await until(is_done)
        assert len(schedules(here, "active")) == 1
