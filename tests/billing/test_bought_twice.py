"""A subscription, or a trial, that two checkouts sold although one was meant: found, announced, shown."""

import random
from typing import Any

import pytest
from blinker import NamedSignal
from sqlmodel import col, select

from app.db.models import OutboxEntry
from app.operations.checks import check_service
from app.signals import Reaction, bought_twice, checkout_expired
from app.simulator import DAY, Subscription
from app.simulator.api import complete_checkout

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long


async def bought_at_once(here: Shop, count: int = 2, **order: Any) -> list[Subscription]:
    """Sessions that were all open when the first was paid: Stripe expires none of them in time."""
    opened = [await here.opened(**order) for _ in range(count)]
    bought = []
    for session_id in opened:
        session = here.account.sessions[session_id]
        session.status = "open"
        here.account.advance(5)
        bought.append(complete_checkout(here.account, session_id))
    return bought


async def announced(here: Shop, signal: NamedSignal = bought_twice) -> list[Reaction]:
    """What was announced, each fact once."""
    await here.service.alerts.check()
    await here.service.alerts.check()
    async with here.service.database.reading() as session:
        own = (col(OutboxEntry.signal) == signal.name, col(OutboxEntry.receiver) == "")
        rows = await session.exec(select(OutboxEntry).where(*own).order_by(col(OutboxEntry.id)))
        return [Reaction.of_json(row.reaction) for row in rows]


async def findings(here: Shop) -> list[str]:
    found = await check_service(here.service)
    return [each.what for each in found["bought-twice"]]


async def banners(here: Shop) -> list[str]:
    return [each["kind"] for each in (await here.client.read(f"/internal/users/{USER}/summary"))["banners"]]


async def test_a_second_payment_is_found_announced_once_and_shown_to_its_user(database_url: str) -> None:
    async with shop(database_url) as here:
        first, second = await bought_at_once(here)
        assert await announced(here) == [] == await findings(here)
        await here.hear()
        [reaction] = await announced(here)
        assert (reaction.user_id, reaction.subscription_id) == (USER, second.id)
        assert reaction.customer_id == second.customer
        assert reaction.facts == {"why": "second_subscription", "earlier_subscription_id": first.id}
        [sentence] = await findings(here)
        assert second.id in sentence and first.id not in sentence
        assert await banners(here) == ["bought_twice"]
        here.account.cancel_now(second)
        await here.hear()
        assert await findings(here) == [] == await banners(here)


async def test_a_second_trial_is_found_and_costs_its_user_nothing(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        order = {"trial_days": 14, "allow_second": True}
        first, second = await bought_at_once(here, **order)
        await here.hear()
        [reaction] = await announced(here)
        assert (reaction.subscription_id, reaction.facts["why"]) == (second.id, "second_trial")
        here.account.cancel_now(first)
        await here.hear()
        assert len(await findings(here)) == 1 and await banners(here) == []


async def test_what_was_meant_is_not_found(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        account = here.account
        await here.bought()
        await here.bought(allow_second=True)
        await here.bought("user_bob", allow_second=True)
        account.create_subscription(account.create_customer(), user_id="user_bob")  # by no session of ours
        stranger = account.create_subscription(account.create_customer())
        account.complete_checkout(stranger, USER)
        await here.hear()
        assert await announced(here) == [] == await findings(here) == await banners(here)


@pytest.mark.long
async def test_it_is_found_whatever_the_order_of_the_events(sqlite_database: str) -> None:
    dice = random.Random(7)
    async with shop(sqlite_database) as here:
        _, second = await bought_at_once(here)
        events = dice.sample(here.account.events, len(here.account.events))
        await here.client.deliver(*events, *events)
        assert [reaction.subscription_id for reaction in await announced(here)] == [second.id]


async def test_an_old_purchase_is_not_announced_and_still_found(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await bought_at_once(here)
        await here.hear()
        here.account.advance(3 * DAY)
        assert await announced(here) == [] and len(await findings(here)) == 1


async def test_a_session_that_was_superseded_is_not_announced_as_abandoned(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.opened()
        second = await here.opened()
        await here.hear()
        here.account.expire_checkout(here.account.sessions[second])
        await here.hear()
        abandoned = await announced(here, checkout_expired)
        assert [reaction.facts["session_id"] for reaction in abandoned] == [second]
