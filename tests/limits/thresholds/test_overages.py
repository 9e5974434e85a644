"""What was used beyond a soft limit is announced when its period is over."""

import asyncio

import pytest
from sqlmodel import col, select

from app.db.models import OutboxEntry, UsageOverage
from app.service import Service
from app.simulator import DAY

from ...client import Client
from ...reactions.conftest import listener as listener
from ...reactions.helpers import Listener, deliver_all, service_of
from ...waiting import until_idle
from ..helpers import START, Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long

# Overage.


async def overages(client: Client, listener: Listener) -> list[tuple[int, int, int]]:
    """What was announced since the last time: used, limit, over."""
    listener.heard.clear()
    worker = service_of(client).worker
    assert worker.overages is not None
    await until_idle(worker.overages.announce_due)
    await deliver_all(client, listener)
    found = [each.facts for each in listener.heard if each.signal == "usage_overage"]
    return [(each["used"], each["limit"], each["over"]) for each in found]


async def test_what_was_used_beyond_a_soft_limit_is_announced_when_its_period_is_over(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 230)
    assert await overages(client, listener) == []
    clock.now += 31 * DAY + 60
    assert await overages(client, listener) == [(230, 200, 30)]
    assert await overages(client, listener) == []


async def test_an_overage_is_announced_though_the_next_period_is_in_use(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 201)
    clock.now += 31 * DAY
    await consume(client, "ada", "api_calls", 5)
    clock.now += 60
    assert await overages(client, listener) == [(201, 200, 1)]


async def test_what_was_released_again_and_what_a_hard_limit_bounds_is_no_overage(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 230)
    await release(client, "ada", "api_calls", 30)
    await consume(client, "bob", "api_calls", 100)
    clock.now += 32 * DAY
    assert await overages(client, listener) == []


async def test_two_workers_announce_an_overage_once(client: Client, listener: Listener, clock: Clock) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 230)
    clock.now += 32 * DAY
    service: Service = service_of(client)
    assert service.worker.overages is not None
    row = {"user_id": "ada", "feature": "api_calls", "period_start": START}
    announce = service.worker.overages._announce
    await asyncio.gather(announce(row), announce(row))
    assert await overages(client, listener) == [(230, 200, 30)]
    ids = [each.id for each in await reactions_after(client)]
    assert ids == [f"usage_overage:ada:api_calls:{START}:{listener.name}"]


async def test_an_overage_that_a_process_took_whose_clock_is_ahead_waits_no_longer_than_its_period(
    client: Client, listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 230)
    await take_a_year_ahead(client, clock, monkeypatch)
    assert await overages(client, listener) == []
    assert await due_in_days(client, clock) == [31]
    clock.now += 31 * DAY + 60
    assert await overages(client, listener) == [(230, 200, 30)]


async def test_an_overage_that_was_taken_ahead_is_announced_after_its_period_was_closed(
    client: Client, listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 230)
    await take_a_year_ahead(client, clock, monkeypatch)
    clock.now += 31 * DAY
    await consume(client, "ada", "api_calls", 5)
    clock.now += 60
    assert await overages(client, listener) == [(230, 200, 30)]


async def take_a_year_ahead(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose clock is a year ahead leases the overage, and is killed before it announces it."""
    found = service_of(client).worker.overages
    assert found is not None
    with monkeypatch.context() as killed:
        killed.setattr(found, "_announce", lambda overage: asyncio.sleep(0))
        clock.now += 365 * DAY
        assert await found.announce_due() == 1
        clock.now -= 365 * DAY


async def due_in_days(client: Client, clock: Clock) -> list[int]:
    async with service_of(client).database.reading() as session:
        return [round((each - clock.now) / DAY) for each in await session.exec(select(UsageOverage.due_at))]


async def reactions_after(client: Client) -> list[OutboxEntry]:
    async with service_of(client).database.reading() as session:
        mine = col(OutboxEntry.signal) == "usage_overage"
        return list(await session.exec(select(OutboxEntry).where(mine)))
