"""Events as fast as they go over 200 connections: nothing is lost, and the memory stays flat."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles

import psutil
import pytest
from sqlalchemy import text

from app.db import Database, open_database
from app.simulator import NEW, Account, Event, Faults, deliveries, event_body, random_history, sign, truth
from tests.client import SECRET
from tests.records import stored
from tests.waiting import LONGEST_SECONDS

from .servers import Server

CONNECTIONS = 200
WARM_UP = 0.3
"""The share of the deliveries after which the memory is measured first."""
MAX_GROWTH_BYTES = 24 * 1024 * 1024
ANSWER_SECONDS = 60


class Load:
    """Many connections that send from one queue, each the next event as soon as the last is answered."""

    def __init__(self, port: int, events: list[Event]) -> None:
        self._port = port
        self._queue = iter(events)
        self.seconds: list[float] = []
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []

    async def run(self) -> None:
        await asyncio.gather(*(self._send_all() for _ in range(CONNECTIONS)))

    async def _send_all(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for event in self._queue:
            body = event_body(event, NEW)
            writer.write(
                b"POST /webhook/stripe HTTP/1.1\r\nHost: billing.test\r\nContent-Type: application/json\r\n"
                b"Stripe-Signature: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (sign(body, SECRET, int(time.time())).encode(), len(body), body)
            )
            began = time.perf_counter()
            async with asyncio.timeout(ANSWER_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
            self.seconds.append(time.perf_counter() - began)
            status = int(head[9:12])
            if status == 200:
                self.acknowledged.add(event.id)
            else:
                self.refused.append(status)
        writer.close()
        await writer.wait_closed()


async def load(database_url: str, folder: Path, *, count: int, seed: int) -> str:
    """Send at least `count` events and check what became of them; the figures in a line."""
    account, rng = Account(seed, start=int(time.time()) - 86_400 * 400), random.Random(seed)
    while len(account.events) < count:
        random_history(account, rng, customers=40, steps=400)
    sent = deliveries(account.events, rng, Faults(duplicates=0.05, reorder=True))
    async with Server(database_url, folder) as server:
        warm = int(len(sent) * WARM_UP)
        process = psutil.Process(server.pid)
        began = time.perf_counter()
        first = Load(server.port, sent[:warm])
        await first.run()
        memory_before = process.memory_info().rss
        second = Load(server.port, sent[warm:])
        await second.run()
        seconds = time.perf_counter() - began
        memory = process.memory_info().rss
        await drained(folder / "spool")
    assert first.refused + second.refused == []
    database = open_database(database_url)
    try:
        acknowledged = first.acknowledged | second.acknowledged
        assert acknowledged == {event.id for event in account.events}
        assert await ids_in_inbox(database) == acknowledged
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
    assert memory - memory_before < MAX_GROWTH_BYTES
    answers = sorted(first.seconds + second.seconds)
    p99 = quantiles(answers, n=100)[98]
    return (
        f"{database.name}: {len(sent)} deliveries, {len(account.events)} events, {CONNECTIONS} connections, "
        f"{seconds:.1f} s ({len(sent) / seconds:.0f}/s); median {median(answers) * 1000:.0f} ms, "
        f"p99 {p99 * 1000:.0f} ms; memory {memory_before >> 20} MB warm, {memory >> 20} MB at the end"
    )


async def drained(spool: Path) -> None:
    """Where the database was too slow for a while, events wait on disk; until they are in."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while list(spool.glob("*.event")):  # noqa: ASYNC110 # nothing announces it
            await asyncio.sleep(0.1)


async def ids_in_inbox(database: Database) -> set[str]:
    """The events that are stored and applied, or of no interest."""
    async with database.reading() as session:
        rows = await (await session.connection()).execute(
            text("SELECT id FROM billing_event WHERE state IN ('processed', 'ignored')")
        )
        return set(rows.scalars())


@pytest.fixture
async def figures() -> AsyncIterator[list[str]]:
    lines: list[str] = []
    yield lines
    sys.stdout.write("".join(f"\n{line}\n" for line in lines))


@pytest.mark.long
async def test_a_rush_of_events_is_taken_whole_and_the_memory_stays_flat(
    database_url: str, tmp_path: Path, figures: list[str]
) -> None:
    figures.append(await load(database_url, tmp_path, count=1_500, seed=1))


@pytest.mark.chaos
async def test_ten_thousand_events_are_taken_whole_and_the_memory_stays_flat(
    database_url: str, tmp_path: Path, figures: list[str]
) -> None:
    figures.append(await load(database_url, tmp_path, count=10_000, seed=2))
