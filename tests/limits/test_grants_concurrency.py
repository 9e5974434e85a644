"""Many writers draw grants down at once, while some expire, are refunded and end with a renewal between.

What was used is what the allowances and the grants gave: never one more, each unit from its own source.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from app import limits
from app.limits import Entitlements

from .. import ROOT
from ..client import Client, running
from ..inbox.purchases import COMPLETED, PLANS, REFUNDED, START, charge, event, session
from ..processes import Process
from ..take_grants import clock_of
from ..waiting import LONGEST_SECONDS, until

pytestmark = pytest.mark.long

TASKS = 32
"""Writers in each of two processes."""

ALLOWANCE = 5
DAY = 86_400


@asynccontextmanager
async def drawing(url: str, plans: Path, clock: Path, seed: int, tasks: int) -> AsyncIterator[Process[bytes]]:
    """A process that is ready to draw."""
    command = [sys.executable, "-m", "tests.take_grants", url, str(plans), str(clock), str(seed), str(tasks)]
    process = await asyncio.to_thread(Process[bytes], command, cwd=ROOT, stdin=PIPE, stdout=PIPE, bufsize=0)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            assert process.stdout is not None
            assert json.loads(await asyncio.to_thread(process.stdout.readline)) == "ready"
        yield process
    finally:
        process.kill()
        process.communicate()


async def now(client: Client) -> Entitlements:
    async with client.app.state.billing.database.reading() as reading:
        found: Entitlements = await limits.load("ada", reading)
        return found


async def drawn_at_least(client: Client, amount: int) -> None:
    """Return once the open period has used so much."""

    async def is_drawn() -> bool:
        return (await now(client)).look("api_calls").used >= amount

    await until(is_drawn)


async def nothing_is_left(client: Client) -> None:
    async def is_used_up() -> bool:
        return (await now(client)).look("api_calls").remaining == 0

    await until(is_used_up)


async def give(client: Client, amount: int, **options: Any) -> str:
    given: list[limits.Grant] = []

    async def is_given() -> bool:
        database = client.app.state.billing.database
        try:
            async with database.session() as own:
                given.append(await limits.grant(own, "ada", "api_calls", amount, **options))
        except Exception as error:
            if not database.lies_under(error):
                raise  # SQLite's file may be busy for long
            return False
        return True

    await until(is_given)
    return given[-1].id


async def accepted(client: Client, payload: dict[str, Any]) -> None:
    """Deliver an event again and again, as Stripe does, until it is applied."""

    async def is_accepted() -> bool:
        answer = await client.post_signed(orjson.dumps(payload))
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False  # SQLite's file may be busy for long
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()["status"] in ("processed", "duplicate")

    await until(is_accepted)


def set_clock(clock: Path, now: int) -> None:
    """Replace the file at once: the processes read it at any moment."""
    written = clock.with_suffix(".new")
    written.write_text(str(now))
    written.replace(clock)


async def stages(client: Client, clock: Path) -> dict[str, int]:
    """Grants come, are refunded, expire and go on over a renewal; the most that each may have given."""
    await drawn_at_least(client, 12)
    await accepted(client, event(2, REFUNDED, charge(400)))  # 60 of 100 stay, or what was used by then
    await drawn_at_least(client, 30)
    expiring = await give(client, 40, expires_at=START + 2 * DAY, priority=-1)
    await drawn_at_least(client, 60)
    set_clock(clock, START + 2 * DAY)
    lasting = await give(client, 50)
    await drawn_at_least(client, 80)
    set_clock(clock, START + 40 * DAY)
    await nothing_is_left(client)
    return {expiring: 40, lasting: 50, "pi_1:api_calls": 100}


async def test_what_is_used_is_what_was_granted_and_each_unit_is_of_its_own_grant(
    database_url: str, tmp_path: Path
) -> None:
    plans, clock = tmp_path / "plans.toml", tmp_path / "clock"
    plans.write_text(PLANS)
    clock.write_text(str(START + 100))
    async with running(database_url, plans_file=plans, clock=clock_of(clock)) as client:
        await accepted(client, event(1, COMPLETED, session()))
        async with (
            drawing(database_url, plans, clock, 1, TASKS) as first,
            drawing(database_url, plans, clock, 2, TASKS) as second,
        ):
            for process in (first, second):
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            async with asyncio.timeout(LONGEST_SECONDS):
                gave = await stages(client, clock)
                ends = [asyncio.to_thread(each.communicate, b"stop\n") for each in (first, second)]
                committed = [json.loads(output.splitlines()[-1]) for output, _ in await asyncio.gather(*ends)]
        await check(client, gave, sum(committed))


async def check(client: Client, gave: dict[str, int], committed: int) -> None:
    """Every unit has its source, and no source gave more than it had."""
    async with client.app.state.billing.database.reading() as reading:
        connection = await reading.connection()
        query = "SELECT used, drawn FROM billing_usage WHERE feature = 'api_calls'"
        row = (await connection.execute(text(query))).one()
        closed = list(await connection.execute(text("SELECT used FROM billing_usage_period")))
    entries = orjson.loads(row.drawn) if isinstance(row.drawn, str) else row.drawn
    taken = {id: entry["taken"] for id, entry in entries.items()}
    used = row.used + sum(each.used for each in closed)
    assert used == committed
    assert used == ALLOWANCE * (len(closed) + 1) + sum(taken.values())
    assert {id: amount for id, amount in taken.items() if amount > gave[id]} == {}
    left = {each.id: each.left for each in (await now(client)).grants if each.feature == "api_calls"}
    assert set(left.values()) == {0}
