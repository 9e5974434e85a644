"""Kills while the spool is written and between COMMIT and its answer; a lost answer of COMMIT; clock jumps.

Nothing that was answered with 200 is lost, and the records are right.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.db import open_database
from app.simulator import Account, Event, Faults, deliveries, random_history, truth
from tests.databases import free_port
from tests.records import stored
from tests.waiting import LONGEST_SECONDS

from .kill import Delivery, check_inbox
from .kill_points import POINTS
from .servers import Server

pytestmark = pytest.mark.chaos

APP = "tests.faults.fault_app:app"
KILL_AFTER = (0, 3, 11)
SPOOL_POINTS = [point for point in POINTS if "spooled" in point]
COMMIT_POINT = "between COMMIT and its answer"
CUT_EVERY = 5
CHUNK = 65_536
DAY = 86_400
JUMPS = (3 * DAY, -365 * DAY, 120 * DAY, 0)
"""Seconds by which the clock of the process is ahead, one after the other."""


def history(days: int = 300) -> tuple[Account, list[Event]]:
    """Some hundred events, the first so many days old."""
    rng, account = random.Random(17), Account(17, start=int(time.time()) - DAY * days)
    random_history(account, rng, customers=15, steps=400)
    return account, deliveries(account.events, rng, Faults(duplicates=0.2, reorder=True))


async def check(server: Server, delivery: Delivery, account: Account, database_url: str) -> None:
    """Everything that was answered with 200 is applied, and the records are Stripe's."""
    await check_inbox(server.url, delivery.acknowledged)
    database = open_database(database_url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()


async def killed_again_and_again(
    server: Server, points: list[str], events: list[Event], then: Callable[[], Awaitable[None]]
) -> tuple[Delivery, int]:
    """Deliver events to a server that kills itself at each of these points; how often it did."""
    delivery, kills = Delivery(server.url, events), 0
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(delivery.run())
        for point in points:
            for after in KILL_AFTER:
                server.environment |= {"KILL_AT": point, "KILL_AFTER": str(after)}
                await server.start()
                await server.killed()
                kills += 1
        assert not sending.done(), "the kills came after all events"
        for name in ("KILL_AT", "KILL_AFTER"):
            del server.environment[name]
        await then()
        await server.start()
    return delivery, kills


def told(name: str, delivery: Delivery) -> None:
    """The figures of a test, for docs/operations.md."""
    answers = dict(delivery.answers)
    sys.stdout.write(f"\n{name}: {sum(answers.values())} deliveries, answers {answers}; none lost\n")


async def test_kills_while_the_spool_is_written(postgres_database: str, tmp_path: Path) -> None:
    account, sent = history()
    server = Server(f"postgresql://x@127.0.0.1:{free_port()}/x", tmp_path, app=APP)

    async def database_is_back() -> None:
        server.environment["DATABASE_URL"] = postgres_database

    delivery, kills = await killed_again_and_again(server, SPOOL_POINTS, sent, database_is_back)
    try:
        await check(server, delivery, account, postgres_database)
    finally:
        server.stop()
    told(f"{kills} kills while the spool is written", delivery)


async def test_kills_between_commit_and_its_answer(database_url: str, tmp_path: Path) -> None:
    account, sent = history()
    server = Server(database_url, tmp_path, app=APP)
    delivery, kills = await killed_again_and_again(server, [COMMIT_POINT] * 4, sent, lambda: asyncio.sleep(0))
    try:
        await check(server, delivery, account, database_url)
    finally:
        server.stop()
    told(f"{database_url.partition(':')[0]}: {kills} kills between COMMIT and its answer", delivery)


class CutCommits:
    """A way to PostgreSQL that is cut when COMMIT has arrived there, each fifth time, before the answer."""

    def __init__(self, database_url: str) -> None:
        self._parts = urlsplit(database_url)
        self._commits = self.cut = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Begin; the address of the database on this way."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        user = self._parts.netloc.rpartition("@")[0]
        port = self._server.sockets[0].getsockname()[1]
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        for source, sink, cuts in ((reader, back, True), (there, writer, False)):
            self._tasks.add(asyncio.create_task(self._carry(source, sink, writer if cuts else None)))

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter | None
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                sink.write(data)
                await sink.drain()
                if client is not None and b"COMMIT\0" in data:
                    self._commits += 1
                    if self._commits % CUT_EVERY == 0:
                        self.cut += 1
                        client.transport.abort()
                        await asyncio.sleep(1)  # the server commits, and its answer goes nowhere
                        return
        except OSError:
            pass
        finally:
            sink.close()


async def test_answers_of_commit_that_are_lost(postgres_database: str, tmp_path: Path) -> None:
    account, sent = history()
    way = CutCommits(postgres_database)
    url = await way.start()
    try:
        async with Server(url, tmp_path) as server:
            delivery = Delivery(server.url, sent)
            await delivery.run()
            await check(server, delivery, account, postgres_database)
    finally:
        await way.stop()
    assert way.cut > 0
    assert set(delivery.answers) == {"200"}
    told(f"{way.cut} answers of COMMIT lost", delivery)


async def test_a_clock_that_jumps(database_url: str, tmp_path: Path) -> None:
    account, sent = history(days=20)  # what is older is pruned
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    async with Server(database_url, tmp_path, app=APP, CLOCK=str(ahead)) as server:
        delivery = Delivery(server.url, sent, clock=lambda: time.time() + float(ahead.read_text()))
        async with asyncio.timeout(LONGEST_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            for number, jump in enumerate(JUMPS, 1):
                await delivery.reached(number / (len(JUMPS) + 1))
                aside = ahead.with_suffix(".new")
                aside.write_text(str(jump))
                aside.rename(ahead)
        await check(server, delivery, account, database_url)
    assert set(delivery.answers) <= {"200", "400"}  # a signature of the moment of a jump is sent again
    told(f"{database_url.partition(':')[0]}: {len(JUMPS)} jumps of the clock", delivery)
