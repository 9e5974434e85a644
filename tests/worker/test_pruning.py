"""Pruning ends when the worker stops, in whichever instant that is, and goes on when it runs again."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.simulator import DAY, Account, play
from app.worker.pruning import Pruner
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import Clock
from ..waiting import until
from .helpers import service_of

RUN = Worker.run


@pytest.fixture
def clock() -> Clock:
    """The database's: nothing is pruned where they differ."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """With events that came a hundred days ago."""
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        clock.now -= 100 * DAY
        account = Account(1, start=int(clock.now))
        play(account, "renewal", user_id="ada")
        await client.deliver(*account.events)
        clock.now += 100 * DAY
        yield client


async def how_many(client: Client) -> int:
    return len((await client.read("/internal/events", limit=100))["data"])


async def test_a_stop_in_the_instant_before_pruning_begins_is_obeyed(client: Client, clock: Clock) -> None:
    pruner = Pruner(service_of(client).database, retention_days=90, clock=clock)
    before = await how_many(client)
    pruning = asyncio.create_task(pruner.run())
    pruner.stop()
    await pruning
    assert await how_many(client) == before
    pruner.allow()
    await pruner.run()
    assert await how_many(client) < before


async def test_a_worker_that_runs_again_prunes_again(client: Client, clock: Clock) -> None:
    service, before = service_of(client), await how_many(client)
    pruner = Pruner(service.database, retention_days=90, clock=clock)
    worker = Worker(service.database, service.inbox, service.spool, service.alerts, pruner, clock=clock)
    worker.stop()
    await RUN(worker)
    assert await how_many(client) == before

    async def is_pruned() -> bool:
        return await how_many(client) < before

    working = asyncio.create_task(RUN(worker))
    await until(is_pruned, 20)
    worker.stop()
    await working
