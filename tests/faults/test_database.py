"""The database dies, is cut off, stalls or is held while events arrive: nothing is lost, and nobody hangs."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.db import open_database, sqlite_path
from app.db.migrations import migrate
from app.inbox.webhook import DATABASE_TIMEOUT_SECONDS
from app.simulator import Account, Faults, deliveries, random_history, truth
from tests.databases import PostgresServer, run_sql
from tests.records import stored

from .kill import Delivery, check_inbox
from .servers import Server

LONGEST_SECONDS = 60
LONG = pytest.mark.long
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
"""

Fault = Callable[[PostgresServer], Awaitable[None]]


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


@LONG
@pytest.mark.parametrize("fault", [kill_it, cut_connections, stall_it])
async def test_events_survive_what_happens_to_the_database(
    postgres: PostgresServer, tmp_path: Path, fault: Fault
) -> None:
    await survives(postgres.url, tmp_path, lambda: fault(postgres))


@pytest.mark.parametrize("seconds", [pytest.param(4, marks=LONG), pytest.param(30, marks=pytest.mark.chaos)])
async def test_events_survive_a_sqlite_file_that_another_process_holds(
    sqlite_database: str, tmp_path: Path, seconds: int
) -> None:
    async def hold_it() -> None:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD, sqlite_path(sqlite_database), str(seconds)
        )
        assert await holder.wait() == 0

    delivery = await survives(sqlite_database, tmp_path, hold_it)
    assert delivery.longest > DATABASE_TIMEOUT_SECONDS  # somebody did wait, and then went to the spool


async def survives(url: str, folder: Path, fault: Callable[[], Awaitable[None]]) -> Delivery:
    """Deliver a history with the fault in its midst, and check what became of it."""
    rng, account = random.Random(5), Account(5, start=int(time.time()) - 86_400 * 300)
    random_history(account, rng, customers=15, steps=300)
    sent = deliveries(account.events, rng, Faults(duplicates=0.2, reorder=True))
    async with Server(url, folder) as server:
        delivery = Delivery(server.url, sent)
        async with asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            await delivery.reached(0.3)
            await fault()
        assert set(delivery.answers) <= {"200", "503"}
        assert delivery.longest < LONGEST_SECONDS
        await check_inbox(server.url, delivery.acknowledged)
    database = open_database(url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
    return delivery
