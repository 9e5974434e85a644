"""A read-only server after a failover, full disks, arriving events. Nothing is lost, and it is reported."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from app.db import open_database
from app.db.migrations import migrate
from app.simulator import Account, Faults, deliveries, random_history, truth
from tests.databases import PostgresServer, run_sql
from tests.disks import fill, small_disk
from tests.records import stored
from tests.waiting import until

from .kill import Delivery, check_inbox
from .servers import Server

pytestmark = pytest.mark.chaos

LONGEST_SECONDS = 10
READ_ONLY_SECONDS = 5

Fault = Callable[[Server, Delivery], Awaitable[None]]


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresServer]:
    server = PostgresServer()
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(migrate, server.url)
    yield server
    await asyncio.to_thread(server.remove)


async def readyz(server: Server) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{server.url}/readyz")
    return answer.status_code, answer.text


async def is_named(server: Server, status: int, words: str) -> None:
    """Returns once /readyz says so."""

    async def says_so() -> bool:
        code, text = await readyz(server)
        return code == status and words in text

    await until(says_so, 30)


async def survives(name: str, url: str, folder: Path, fault: Fault, *, spool: Path | None = None) -> None:
    """Deliver a history with the fault in its midst; every event that was answered with 200 must be there."""
    rng, account = random.Random(7), Account(7, start=int(time.time()) - 86_400 * 300)
    random_history(account, rng, customers=15, steps=500)
    sent = deliveries(account.events, rng, Faults(duplicates=0.2, reorder=True))
    environment = {"SPOOL_DIR": str(spool or folder / "spool")}
    async with Server(url, folder, environment=environment) as server:
        delivery = Delivery(server.url, sent)
        async with asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            await delivery.reached(0.3)
            await fault(server, delivery)
        await is_named(server, 200, '"ready"')
        await check_inbox(server.url, delivery.acknowledged)
        spooled = server.log().count('"event":"event_spooled"')
    assert set(delivery.answers) <= {"200", "503"}
    assert delivery.longest < LONGEST_SECONDS
    database = open_database(url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
    sys.stdout.write(
        f"\n{name}: {sum(delivery.answers.values())} deliveries, answers {dict(delivery.answers)}, {spooled} "
        f"events by way of the spool, longest {delivery.longest:.1f} s\n"
    )


async def test_a_failover_that_leaves_a_read_only_server(postgres: PostgresServer, tmp_path: Path) -> None:
    async def fail_over(server: Server, delivery: Delivery) -> None:
        for setting in ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"):
            await run_sql(postgres.url, setting)
        await is_named(server, 200, "read-only")
        await asyncio.sleep(READ_ONLY_SECONDS)
        back = f"{postgres.url}?options=-c%20default_transaction_read_only%3Doff"
        await run_sql(back, "ALTER SYSTEM RESET default_transaction_read_only")
        await run_sql(back, "SELECT pg_reload_conf()")

    await survives("a failover to read-only", postgres.url, tmp_path, fail_over)


async def test_a_full_disk_of_the_sqlite_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 32 * 1024 * 1024) as disk:

        async def fill_up(server: Server, delivery: Delivery) -> None:
            filling = await asyncio.to_thread(fill, disk)
            await is_named(server, 200, f"mounted at {disk}")
            filling.unlink()

        await survives("a full disk of the SQLite file", f"sqlite:///{disk / 'app.db'}", tmp_path, fill_up)


async def test_a_full_spool_while_the_database_is_down(postgres: PostgresServer, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:

        async def down_for_long(server: Server, delivery: Delivery) -> None:
            await asyncio.to_thread(postgres.kill9)
            await is_named(server, 503, f"mounted at {disk}")
            await until(lambda: delivery.answers["503"] > 0, 30)
            await asyncio.to_thread(postgres.start)

        await survives(
            "a full spool while the database is down",
            postgres.url,
            tmp_path,
            down_for_long,
            spool=disk / "spool",
        )
