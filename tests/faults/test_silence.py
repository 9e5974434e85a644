"""Connections to PostgreSQL that die in silence: nothing is closed, and nothing is ever answered.

So it is behind a network that forgot them, or after a server was moved. New connections work.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app import limits
from app.db.postgres import PostgresDatabase
from app.service import Service
from app.simulator import Account
from tests.client import running
from tests.waiting import LONGEST_SECONDS as MOST_PATIENT_SECONDS
from tests.waiting import until

LONGEST_SECONDS = 10
POOLED = 5
CHUNK = 65_536


class Network:
    """A way to the server whose present connections can be made to swallow everything."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._silent: set[object] = set()
        self._open: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def fall_silent(self) -> None:
        self._silent |= self._open

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        connection = object()
        self._open.add(connection)
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._carry(connection, source, sink)))

    async def _carry(
        self, connection: object, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                if connection not in self._silent:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


@pytest.fixture
async def network(postgres_database: str) -> AsyncIterator[tuple[Network, str]]:
    parts = urlsplit(postgres_database)
    assert parts.hostname is not None and parts.port is not None
    network = Network(parts.hostname, parts.port)
    async with network.up():
        user = parts.netloc.rpartition("@")[0]
        yield network, parts._replace(netloc=f"{user}@127.0.0.1:{network.port}").geturl()


async def took(work: object) -> float:
    """Seconds until the work ended, well or not."""
    began = time.monotonic()
    await asyncio.gather(work, return_exceptions=True)  # type: ignore[call-overload]  # any awaitable
    return time.monotonic() - began


@pytest.mark.long
@pytest.mark.real_time_limits
async def test_webhooks_and_sessions_come_back_by_themselves_within_ten_seconds(
    network: tuple[Network, str], tmp_path: Path
) -> None:
    way, url = network
    async with running(url, spool_dir=tmp_path) as client:
        service: Service = client.app.state.billing
        account = Account(1, start=int(time.time()) - 1000)
        for number in range(4):
            account.create_customer(user_id=f"user_{number}")
        first, second, third, fourth = account.events
        assert await client.deliver(first) == ["processed"]
        await asyncio.gather(*(limits.load(f"user_{number}") for number in range(POOLED)))

        way.fall_silent()
        work = [client.deliver(second), *(limits.load(f"other_{number}") for number in range(2 * POOLED))]
        durations = await asyncio.gather(*(took(each) for each in work))
        assert max(durations) < LONGEST_SECONDS

        async with asyncio.timeout(LONGEST_SECONDS):
            while await client.deliver(third) not in (["processed"], ["duplicate"]):
                pass
        assert await client.deliver(fourth) == ["processed"]
        assert await took(limits.load("user_0")) < 1
        async with asyncio.timeout(LONGEST_SECONDS):
            while service.spool.waiting():  # noqa: ASYNC110  # the worker drains it
                await asyncio.sleep(0.05)
        events = (await client.read("/internal/events"))["data"]
        assert {event["event_id"] for event in events} == {event.id for event in account.events}
        assert {event["state"] for event in events} == {"processed"}


async def test_a_batch_of_a_background_task_gives_a_silent_connection_up(
    network: tuple[Network, str],
) -> None:
    """The inbox limits its own batches; those of alerts, activations and the backfill have no other limit."""
    way, url = network
    database = PostgresDatabase(url, statement_timeout=1)

    async def answers() -> bool:
        try:
            return await database.try_batch("SELECT 1 AS one", {}) == [{"one": 1}]
        except TimeoutError:
            return False

    try:
        await until(answers)
        way.fall_silent()
        assert not await asyncio.wait_for(answers(), MOST_PATIENT_SECONDS)
        await until(answers)
    finally:
        await database.close()
