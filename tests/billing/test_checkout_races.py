"""The return from a checkout while webhooks come, and while Stripe is slow, failing or silent."""

import asyncio
import random
from typing import Any

import pytest
from sqlmodel import select

from app.billing import checkout
from app.db.models import Customer, Subscription
from app.signals import event_signal
from app.simulator import Event
from app.simulator.api import FaultKind, complete_checkout

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

SYNC = "checkout-sessions/{}/sync"
STAGES = (None, "incomplete", "active")
"""What a subscription goes through, forwards only."""


@pytest.mark.parametrize("kind", ["error", "rate_limit", "disconnect", "cut"])
@pytest.mark.rest_in_long(2)
async def test_a_stripe_that_fails_now_and_then_is_asked_again(sqlite_database: str, kind: FaultKind) -> None:
    async with shop(sqlite_database) as here:
        here.faults.next(kind, 1, seconds=0, path="/v1/checkout")
        first = await here.order(key="order-7")
        assert first.status_code in (200, 502), first.text
        session_id = await here.opened(key="order-7")
        assert list(here.account.sessions) == [session_id], "the request was repeated, the session is one"


OUTAGES: list[tuple[int, FaultKind]] = [(3, "error"), (6, "rate_limit")]
"""As many as it takes for a request to be given up."""


async def test_while_stripe_is_down_it_is_said_and_nothing_is_half_written(database_url: str) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        complete_checkout(here.account, session_id)
        before = await everything(here)
        assert before
        for count, kind in OUTAGES:
            here.faults.next(kind, count, seconds=0)
            refused = await here.post(SYNC.format(session_id))
            assert refused.status_code == 502 and "Try again" in refused.json()["detail"]
            assert refused.headers["content-type"] == "application/problem+json"
        assert await everything(here) == before
        assert (await here.done(SYNC.format(session_id)))["applied"]


async def test_who_waits_is_not_kept_waiting_for_a_slow_stripe(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stripe.client.PROMPTLY_SECONDS", 0.2)
    async with shop(sqlite_database) as here:
        slow: list[FaultKind] = ["delay", "rate_limit"]
        for kind in slow:
            here.faults.next(kind, 1, seconds=1)
            refused = await here.order()
            assert refused.status_code == 502 and "in time" in refused.json()["detail"]
        assert here.account.sessions == {}


async def everything(here: Shop) -> Any:
    async with here.service.database.reading() as session:
        rows = [*(await session.exec(select(Customer))), *(await session.exec(select(Subscription)))]
        return [row.model_dump() for row in rows]


@pytest.mark.parametrize(
    "orders",
    [
        2,
        pytest.param(20, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep]),
        pytest.param(50, marks=pytest.mark.deep),
    ],
)
async def test_a_sync_among_its_own_webhooks_never_takes_anything_back(
    database_url: str, orders: int
) -> None:
    """The same purchase in many orders: syncs and events one by one or at once, some twice."""
    dice = random.Random(4)
    async with shop(database_url) as here:
        for number in range(orders):
            await one_purchase(here, f"user_{number}", dice)
        async with here.service.database.reading() as session:
            assert len(list(await session.exec(select(Subscription)))) == orders


async def one_purchase(here: Shop, user_id: str, dice: random.Random) -> None:
    earlier = len(here.account.events)
    session_id = await here.opened(user_id, quantity=2)
    here.account.advance(dice.choice((0, 0, 1, 5)))
    subscription = complete_checkout(here.account, session_id)
    here.account.advance(dice.choice((0, 0, 1, 2, 5)))
    events = here.account.events[earlier:]
    steps: list[Event | None] = [*events, *dice.sample(events, 3), None, None, None]
    dice.shuffle(steps)
    reached, synced = -1, False
    while steps:
        together = [steps.pop() for _ in range(min(dice.choice((1, 1, 2, 3)), len(steps)))]
        await asyncio.gather(*(one_step(here, step, session_id) for step in together))
        synced = synced or None in together
        stage = await stage_of(here, subscription.id)
        assert stage >= reached, "the state went back"
        reached = stage
        if synced:
            assert STAGES[stage] == "active"
            assert await here.plan_of(user_id) == "team"
    user = await here.client.read(f"/internal/users/{user_id}")
    assert [each["subscription_id"] for each in user["subscriptions"]] == [subscription.id]
    assert user["subscriptions"][0]["quantity"] == 2


async def one_step(here: Shop, step: Event | None, session_id: str) -> None:
    if step is not None:
        await here.client.deliver(step)
    else:
        assert (await here.done(SYNC.format(session_id)))["entitlements"]["plan"] == "team"


async def stage_of(here: Shop, subscription_id: str) -> int:
    async with here.service.database.reading() as session:
        row = await session.get(Subscription, subscription_id)
        return STAGES.index(row.status if row else None)


async def test_a_late_sync_undoes_no_later_link(database_url: str) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        subscription = complete_checkout(here.account, session_id)
        await here.hear()
        here.account.advance(60)
        customer = here.account.customers[subscription.customer]
        here.account.set_metadata(subscription)  # so that the session alone still names the buyer
        here.account.update_customer(customer, user_id="user_bob")
        await here.hear()
        here.account.advance(60)
        assert (await here.done(SYNC.format(session_id)))["user_id"] == "user_bob"
        assert (await here.post(SYNC.format(session_id), {"user_id": USER})).status_code == 404


async def test_what_was_read_before_a_webhook_came_is_read_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        subscription = complete_checkout(here.account, session_id)
        versions = checkout._versions

        async def after_a_change(*arguments: Any) -> dict[str, int]:
            here.account.advance(1)
            here.account.change_quantity(subscription, 7)
            await here.hear()
            return await versions(*arguments)

        monkeypatch.setattr(checkout, "_versions", after_a_change)
        synced = await here.done(SYNC.format(session_id))
        assert synced["subscription"]["quantity"] == 7


async def test_a_sync_that_cannot_be_applied_does_not_say_that_it_was(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened()
        complete_checkout(here.account, session_id)

        def failing(event: Any, **_: Any) -> None:
            raise RuntimeError("no")

        with event_signal("customer.subscription.updated").connected_to(failing):
            refused = await here.post(SYNC.format(session_id))
        assert refused.status_code == 500 and "tried again" in refused.json()["detail"]
