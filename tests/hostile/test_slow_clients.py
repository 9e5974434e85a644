"""Slow, large and idle clients at a real socket: each is cut off, and a normal event is taken meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import text

from app.reactions.outbox import Outbox
from app.sync.backfill import Backfill
from app.web import bodies, protocol
from app.worker.outage import OutageAlert
from app.worker.worker import Worker
from tests.client import KEY

from .sockets import Connection, Listening, listening, request

pytestmark = pytest.mark.postgresql_in_long

LIMIT = 4096
PROMPT_SECONDS = 60.0
SHORT = 0.7
"""The time limits here, in seconds."""


def event_body(event_id: str = "evt_1", padding: int = 0) -> bytes:
    content = {"id": "cus_1", "object": "customer", "description": "x" * padding}
    data = {"id": event_id, "type": "customer.updated", "created": 1_893_456_000, "data": {"object": content}}
    return orjson.dumps(data)


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Listening]:
    async with listening(database_url, max_body_bytes=LIMIT) as server:
        yield server


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_SECONDS", SHORT)
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_SECONDS", SHORT)


@pytest.fixture
def idle_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections of background tasks would pass for those of requests."""
    for part in (Worker, Outbox, Backfill, OutageAlert):
        monkeypatch.setattr(part, "run", lambda part: asyncio.sleep(0))


async def post(server: Listening, data: bytes) -> int:
    connection = await server.connect()
    await connection.send(data)
    status = await connection.status()
    await connection.close()
    return status


async def takes_an_event_promptly(server: Listening, event_id: str = "evt_normal") -> None:
    began = time.monotonic()
    assert await post(server, request(event_body(event_id))) == 200
    assert time.monotonic() - began < PROMPT_SECONDS


async def stored_events(server: Listening) -> set[str]:
    async with server.app.state.billing.database.reading() as session:
        rows = await (await session.connection()).execute(text("SELECT id FROM billing_event"))
        return set(rows.scalars())


async def dribble(connection: Connection, data: bytes) -> bool:
    """A byte at a time, for as long as the server listens."""
    for byte in data:
        if not await connection.send(bytes([byte])):
            return False
        await asyncio.sleep(0.01)
    return True


@pytest.mark.usefixtures("short", "idle_background")
@pytest.mark.parametrize("path", ["/webhook/stripe", "/internal/subscription/update"])
async def test_a_body_that_comes_byte_by_byte_is_408_after_its_time_and_holds_no_database_connection(
    server: Listening, path: str
) -> None:
    body = event_body("evt_slow", padding=1_000)
    data = request(body, f"X-API-Key: {KEY}", path=path)
    used: list[str] = []
    engine = server.app.state.billing.database.engine.sync_engine
    connection = await server.connect()
    head, slow = data[: -len(body)], data[-len(body) :]
    began = time.monotonic()
    sql_event.listen(engine, "checkout", lambda *_: used.append(path))
    await connection.send(head)
    dribbling = asyncio.create_task(dribble(connection, slow))
    await takes_an_event_promptly(server)
    assert await connection.status() == 408
    assert SHORT <= time.monotonic() - began < SHORT + PROMPT_SECONDS
    assert await connection.closed()
    dribbling.cancel()
    await asyncio.wait([dribbling])
    assert used == []
    assert await stored_events(server) == {"evt_normal"}
    await connection.close()


async def test_a_slow_body_within_the_time_is_taken(server: Listening) -> None:
    connection = await server.connect()
    data = request(event_body("evt_patient"))
    for start in range(0, len(data), 40):
        await connection.send(data[start : start + 40])
        await asyncio.sleep(0.002)
    assert await connection.status() == 200
    await connection.close()


@pytest.mark.parametrize("path", ["/webhook/stripe", "/internal/subscription/update"])
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_413_while_it_still_comes(
    server: Listening, path: str, chunked: bool
) -> None:
    connection = await server.connect()
    key = f"X-API-Key: {KEY}"
    await connection.send(request(b"", key, path=path, length=-1 if chunked else 2**40))
    answer = asyncio.create_task(connection.status())
    piece = b"x" * 512
    sent = 0
    while chunked and sent <= 8 * LIMIT and not answer.done():
        sent += len(piece)
        if not await connection.send(b"%x\r\n%s\r\n" % (len(piece), piece)):
            break
        await asyncio.sleep(0.001)
    assert await answer == 413
    assert await connection.closed()
    assert sent < 8 * LIMIT
    await connection.close()
    assert await stored_events(server) == set()
    await takes_an_event_promptly(server)


@pytest.mark.parametrize("path", ["/webhook/stripe", "/internal/subscription/update"])
async def test_a_body_of_just_the_limit_is_read(server: Listening, path: str) -> None:
    padding = LIMIT - len(event_body())
    for extra, expected in ((0, {200, 422}), (1, {413})):
        body = event_body(padding=padding + extra)
        assert await post(server, request(body, f"X-API-Key: {KEY}", path=path)) in expected


async def test_without_a_key_not_even_the_size_of_a_body_is_looked_at(server: Listening) -> None:
    data = request(b"", path="/internal/subscription/update", length=2**40)
    assert await post(server, data) == 401


async def test_two_hundred_half_open_connections_do_not_stop_an_event(server: Listening) -> None:
    whole = request(event_body("evt_half"))
    cuts = [0, 1, 20, whole.index(b"\r\n\r\n"), len(whole) - 1]
    connections = [await server.connect() for _ in range(200)]
    for number, connection in enumerate(connections):
        await connection.send(whole[: cuts[number % len(cuts)]])
    for number in range(5):
        await takes_an_event_promptly(server, f"evt_{number}")
    assert await stored_events(server) == {f"evt_{number}" for number in range(5)}
    # The last byte still makes an event of those that wait for it.
    await connections[4].send(whole[-1:])
    assert await connections[4].status() == 200
    await asyncio.gather(*(connection.close() for connection in connections))


@pytest.mark.usefixtures("short")
async def test_half_open_connections_are_closed_after_their_time(server: Listening) -> None:
    whole = request(event_body("evt_half"))
    connections = [await server.connect() for _ in range(30)]
    for number, connection in enumerate(connections):
        await connection.send(whole[: (0, 1, 20, len(whole) - 1)[number % 4]])
    began = time.monotonic()
    statuses = {await connection.status() for connection in connections}
    assert statuses == {408}
    assert time.monotonic() - began < SHORT + PROMPT_SECONDS
    await takes_an_event_promptly(server)
    await asyncio.gather(*(connection.close() for connection in connections))


@pytest.mark.usefixtures("short")
async def test_a_connection_that_is_used_again_has_the_whole_time_again(server: Listening) -> None:
    connection = await server.connect()
    for number in range(12):  # together longer than the time, each far shorter
        await connection.send(request(event_body(f"evt_{number}")))
        assert await connection.status() == 200
        await asyncio.sleep(SHORT / 8)
    await connection.send(b"POST /webh")
    assert await connection.status() == 408
    await connection.close()


@pytest.mark.parametrize("how", ["one header", "many headers", "url", "no end", "at once"])
async def test_a_header_section_over_the_limit_is_431_and_the_connection_closed(
    server: Listening, how: str
) -> None:
    size = protocol.MAX_HEAD_BYTES
    data = {
        "one header": request(event_body(), "X-Padding: " + "x" * size),
        "many headers": request(event_body(), *(f"X-{n}: {n}" for n in range(size // 8))),
        "url": request(event_body(), path="/webhook/stripe?" + "x" * size),
        "no end": b"POST /webhook/stripe HTTP/1.1\r\nX: " + b"x" * 100 * size,
        "at once": request(b"", "X-Padding: " + "x" * size),
    }[how]
    connection = await server.connect()
    answer = asyncio.create_task(connection.status())
    piece = len(data) if how == "at once" else 1_000
    for start in range(0, len(data), piece):
        if answer.done() or not await connection.send(data[start : start + piece]):
            break
        await asyncio.sleep(0.001)
    assert await answer == 431
    assert await connection.closed()
    await connection.close()
    assert await stored_events(server) == set()
    await takes_an_event_promptly(server)


async def test_large_headers_within_the_limit_and_large_bodies_behind_them_are_taken(
    server: Listening,
) -> None:
    connection = await server.connect()
    padding = "X-Padding: " + "x" * (protocol.MAX_HEAD_BYTES - 1_000)
    for number in range(3):
        await connection.send(request(event_body(f"evt_{number}", padding=LIMIT - 200), padding))
        assert await connection.status() == 200
    await connection.close()


async def test_requests_sent_ahead_are_answered_in_turn(server: Listening) -> None:
    connection = await server.connect()
    count = 40  # of which most begin in the piece that ends the one before
    await connection.send(b"".join(request(event_body(f"evt_{n}", padding=2_000)) for n in range(count)))
    assert [await connection.status() for _ in range(count)] == [200] * count
    await connection.close()
    assert len(await stored_events(server)) == count


@pytest.mark.long
@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /webhook/stripe HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhook/stripe HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /webhook/stripe HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook/stripe HTTP/1.1\r\nStripe-Signature: a\x00b\r\n\r\n",
        b"POST /webhook/stripe HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_bytes_that_are_no_http_are_400_or_closed(server: Listening, data: bytes) -> None:
    assert await post(server, data) in (400, 0)
    assert await stored_events(server) == set()
    await takes_an_event_promptly(server)
