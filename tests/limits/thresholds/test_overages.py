"""What was used beyond a soft limit is announced when its period is over."""

import asyncio

import pytest
from sqlmodel import col, select

from app.db.models import OutboxEntry
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


async def reactions_after(client: Client) -> list[OutboxEntry]:
    async with service_of(client).database.reading() as session:
        mine = col(OutboxEntry.signal) == "usage_overage"
        return list(await session.exec(select(OutboxEntry).where(mine)))
