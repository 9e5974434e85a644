"""The database dies, is cut off, or stalls while events arrive: nothing is lost, and nobody hangs."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.db import open_database
from app.migrations import migrate
from app.simulator import Account, Faults, deliveries, random_history, truth
from tests.databases import PostgresServer, run_sql
from tests.records import stored

from .kill import Delivery, check_inbox
from .servers import Server

LONGEST_SECONDS = 10


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresServer]:
    server = PostgresServer()
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(migrate, server.url)
    yield server
    await asyncio.to_thread(server.remove)


async def kill_it(server: PostgresServer) -> None:
    """As a crash; and back after two seconds."""
    await asyncio.to_thread(server.kill9)
    await asyncio.sleep(2)
    await asyncio.to_thread(server.start)


async def cut_connections(server: PostgresServer) -> None:
    await run_sql(
        server.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'",
    )


async def stall_it(server: PostgresServer) -> None:
    """Every process of the server is stopped in its tracks, with all connections open."""
    children = [
        int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    ]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(5)
    for pid in children:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [kill_it, cut_connections, stall_it])
async def test_events_survive_what_happens_to_the_database(
    postgres: PostgresServer, tmp_path: Path, fault: object
) -> None:
    rng, account = random.Random(5), Account(5, start=int(time.time()) - 86_400 * 300)
    random_history(account, rng, customers=15, steps=500)
    sent = deliveries(account.events, rng, Faults(duplicates=0.2, reorder=True))
    async with Server(postgres.url, tmp_path) as server:
        delivery = Delivery(server.url, sent)
        async with asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            await delivery.reached(0.3)
            assert callable(fault)
            await fault(postgres)
        assert set(delivery.answers) <= {"200", "503"}
        assert delivery.longest < LONGEST_SECONDS
        await check_inbox(server.url, delivery.acknowledged)
    database = open_database(postgres.url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
