"""64 writers in two processes, of which one is killed now and then, announce each threshold once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
from sqlmodel import select

from app.db.models import OutboxEntry, Usage
from app.reactions.outbox import FAN_OUT

from .. import ROOT
from ..client import Client, running
from ..processes import Process
from ..reactions.helpers import service_of
from ..take_both_ways import sync_url
from ..waiting import LONGEST_SECONDS, until

LIMIT = 120
SHARES = [number / 20 for number in range(1, 20)]
PLANS = f"""
default_plan = "free"
[features]
api_calls = {{ kind = "consumable", reset = "year" }}
[plans.free]
api_calls = {{ limit = {LIMIT}, warn_at = {SHARES} }}
"""

pytestmark = pytest.mark.long


@asynccontextmanager
async def using(url: str, plans: Path, seed: int) -> AsyncIterator[Process[bytes]]:
    command = [sys.executable, "-m", "tests.take_thresholds", sync_url(url), str(plans), str(seed)]
    process = await asyncio.to_thread(Process[bytes], command, cwd=ROOT, stdout=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LONGEST_SECONDS):
            assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def used(client: Client) -> int:
    async with service_of(client).database.reading() as session:
        row = (await session.exec(select(Usage))).first()
        return row.used if row else 0


async def test_each_threshold_is_announced_once_though_processes_are_killed(
    database_url: str, tmp_path: Path
) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text(PLANS)
    async with running(database_url, plans_file=plans) as client:
        async with using(database_url, plans, 1000) as lasting:
            for kill in range(2):
                async with using(database_url, plans, 100 * kill):
                    more = await used(client) + LIMIT // 4

                    async def has_used(more: int = more) -> bool:
                        return await used(client) >= min(more, LIMIT)

                    await until(has_used)
            async with using(database_url, plans, 2000) as last:
                await until(lambda: last.poll() is not None and lasting.poll() is not None)
                assert (last.returncode, lasting.returncode) == (0, 0)
        assert await used(client) == LIMIT
        async with service_of(client).database.reading() as session:
            entries = [each for each in await session.exec(select(OutboxEntry)) if each.receiver == FAN_OUT]
    told = sorted((each.signal, each.reaction["facts"]["share"]) for each in entries)
    assert told == [("limit_reached", 1.0), *(("usage_threshold_reached", share) for share in SHARES)]
