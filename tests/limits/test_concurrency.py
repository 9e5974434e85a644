"""Never one over: many tasks in two processes, while the limit goes up and down."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.simulator import Account

from .. import ROOT
from ..client import AUTH, Client, running
from ..processes import Process
from ..waiting import LONGEST_SECONDS, until
from .helpers import PLANS

CHANGES = (8, 30, 4, 50, 12, 100, 2, 60)
POOL_SIZE = 15
"""Connections of one process: more tasks than these wait for one, and run no faster."""


@asynccontextmanager
async def taking_usage(url: str, plans: Path, seed: int, tasks: int) -> AsyncIterator[Process[bytes]]:
    """A process that is ready to consume and release."""
    command = [sys.executable, "-m", "tests.take_usage", url, str(plans), str(seed), str(tasks)]
    process = await asyncio.to_thread(Process[bytes], command, cwd=ROOT, stdin=PIPE, stdout=PIPE, bufsize=0)
    try:
        assert await line(process) == "ready"
        yield process
    finally:
        process.kill()
        process.communicate()


async def line(process: Process[bytes]) -> Any:
    """The next line that it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(LONGEST_SECONDS):
        return json.loads(await asyncio.to_thread(process.stdout.readline))


async def results(processes: list[Process[bytes]], change_limit: Callable[[], Awaitable[None]]) -> list[Any]:
    """What the processes print that go on until each has made and was denied enough.

    The limit changes after as many steps on any machine.
    """
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    async with asyncio.timeout(LONGEST_SECONDS):
        for changes in itertools.count(1):
            await change_limit()
            reports = [await line(process) for process in processes]
            if changes >= len(CHANGES) and all(grants >= 20 and denied >= 5 for grants, denied in reports):
                break
        ends = [asyncio.to_thread(process.communicate, b"stop\n") for process in processes]
        printed = await asyncio.gather(*ends)
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(output.splitlines()[-1]) for output, _ in printed]


async def set_limit(client: Client, limit: int) -> None:
    body = {"op": "set", "value": limit, "reason": "a test", "actor": "a test"}

    async def is_set() -> bool:
        response = await client.http.put("/internal/users/ada/overrides/projects", json=body, headers=AUTH)
        assert response.status_code in (200, 503), response.text  # SQLite's file is busy for seconds
        return response.status_code == 200

    await until(is_set)


@pytest.mark.parametrize(
    "tasks",
    [
        2,
        pytest.param(POOL_SIZE, marks=pytest.mark.long),
        pytest.param(8, marks=pytest.mark.deep),
    ],
)
@pytest.mark.long
async def test_no_grant_goes_over_the_limit_in_force_and_usage_is_what_was_committed(
    database_url: str, tmp_path: Path, tasks: int
) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text(PLANS)
    limits = [20]  # by version, from 1
    async with (
        running(database_url, plans_file=plans) as client,
        taking_usage(database_url, plans, 1, tasks) as first,
        taking_usage(database_url, plans, 2, tasks) as second,
    ):
        await set_limit(client, limits[-1])

        async def change_limit() -> None:
            limits.append(CHANGES[len(limits) % len(CHANGES)])
            await set_limit(client, limits[-1])

        printed = await results([first, second], change_limit)
        async with client.app.state.billing.database.reading() as session:
            connection = await session.connection()
            used = (await connection.execute(text("SELECT used FROM billing_usage"))).scalar_one()
            keys = (await connection.execute(text("SELECT sum(amount) FROM billing_usage_key"))).scalar_one()
    grants = [grant for result in printed for grant in result["grants"]]
    over = [grant for grant in grants if grant[0] > max(limits[grant[1] - 1 : grant[2]])]
    assert over == []
    assert used == sum(result["balance"] for result in printed) + (keys or 0)


async def listeners_connected(url: str, count: int) -> None:
    """Return once so many connections to the database listen."""
    listening = "datname = current_database() AND query LIKE 'LISTEN%'"
    connection = await asyncpg.connect(url)

    async def are_connected() -> bool:
        query = f"SELECT count(*) FROM pg_stat_activity WHERE {listening}"
        found: int = await connection.fetchval(query)
        return found == count

    try:
        await until(are_connected)
    finally:
        await connection.close()


async def test_a_change_here_is_seen_in_another_process_before_its_answer_has_aged(
    postgres_database: str, tmp_path: Path
) -> None:
    """LISTEN and NOTIFY carry it; without them it would take until the answer has aged."""
    plans, now = tmp_path / "plans.toml", time.time()
    plans.write_text(PLANS)
    async with (
        running(postgres_database, plans_file=plans) as here,
        running(postgres_database, plans_file=plans, clock=lambda: now) as there,  # where no answer ages
    ):
        other = there.app.state.billing.limits
        await listeners_connected(postgres_database, 2)
        assert (await other.load("ada")).plan == "free"
        account = Account(1, start=int(time.time()))
        account.create_subscription(account.create_customer(user_id="ada"), "price_team")
        # Blinker's signal reaches every service in this process; this one must hear of it from the database.
        from app.signals import users_changed

        users_changed.disconnect(other.snapshots.on_users_changed)
        await here.deliver(*account.events)

        async def is_seen() -> bool:
            return bool((await other.load("ada")).plan == "team")

        await until(is_seen)
