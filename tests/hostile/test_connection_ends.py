"""Every connection has an end, whatever its client sends, or does not send, or does not read."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from app.observability.exposition import exposition
from app.web import bodies, protocol
from tests.client import KEY
from tests.waiting import until

from .sockets import Connection, Listening, listening

SHORT = 0.7
"""The deadlines here, in seconds."""
LONG = 60.0
"""Seconds after which a connection that is still open counts as open for ever."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_SECONDS", SHORT)
    for name in ("HEAD_TIMEOUT_SECONDS", "BODY_TIMEOUT_SECONDS", "ANSWER_TIMEOUT_SECONDS"):
        monkeypatch.setattr(protocol, name, SHORT)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.05)


@pytest.fixture
async def server(sqlite_database: str) -> AsyncIterator[Listening]:
    async with listening(sqlite_database, keep_alive=1) as server:
        yield server


def head(method: str, path: str, length: int, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: billing.test", f"Content-Length: {length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


LOGIN = "Content-Type: application/x-www-form-urlencoded"
KEYED = f"X-API-Key: {KEY}"
ANSWERED = {
    "401": head("POST", "/internal/subscription/update", 100),
    "404": head("POST", "/nowhere", 100),
    "408": head("POST", "/webhook/stripe", 100),
    "413": head("POST", "/webhook/stripe", 10**9),
    "a GET with a body": head("GET", "/healthz", 100),
    "422 with a key": head("POST", "/internal/subscription/update", 100, KEYED),
    "an answer, and half the next request": head("GET", "/healthz", 0) + b"GET /healt",
    "an answer": head("GET", "/healthz", 0),
}


async def trickles(connection: Connection, piece: bytes) -> None:
    """Send a piece again and again, until the server closes."""
    goes_on = True
    while goes_on:
        goes_on = await connection.send(piece)
        await asyncio.sleep(0.1)


async def ends(server: Listening, before: bytes, piece: bytes, *, answered: bool) -> bool:
    """Whether a connection ends that sends this, and then a piece of something every now and then."""
    connection = await server.connect()
    await connection.send(before)
    if answered:
        assert await connection.status() > 0
    trickling = asyncio.create_task(trickles(connection, piece)) if piece else None
    ended = await connection.closed(LONG)
    if trickling:
        trickling.cancel()
    return ended


async def test_a_connection_ends_after_its_answer_whatever_still_comes(server: Listening) -> None:
    cases = [(name, piece) for name in ANSWERED for piece in (b"", b"x", b"\r\n")]
    ended = await asyncio.gather(
        *(ends(server, ANSWERED[name], piece, answered=True) for name, piece in cases)
    )
    assert [case for case, closed in zip(cases, ended, strict=True) if not closed] == []


async def test_a_connection_without_a_request_ends(server: Listening) -> None:
    cases = [(b"", b""), (b"", b"\r\n"), (b"GET /healthz HTTP/1.1\r\nHost:", b""), (b"POST /we", b"x")]
    ended = await asyncio.gather(*(ends(server, *case, answered=False) for case in cases))
    assert [case for case, closed in zip(cases, ended, strict=True) if not closed] == []


async def test_a_body_that_trickles_to_an_application_without_limits_of_its_own_is_408(
    server: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @server.app.post("/upload")
    async def upload(request: Request) -> int:
        return len(await request.body())

    connection = await server.connect()
    await connection.send(head("POST", "/upload", 10_000))
    trickling = asyncio.create_task(trickles(connection, b"x"))
    assert await connection.status(LONG) == 408
    assert await connection.closed(LONG)
    await trickling
    await until(lambda: "client_disconnected" in caplog.text)
    assert "unexpected_error" not in caplog.text


async def test_a_long_body_at_a_fair_rate_is_taken_though_it_takes_longer_than_the_deadline(
    server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BYTES_PER_SECOND", 1024)

    @server.app.post("/upload")
    async def upload(request: Request) -> int:
        return len(await request.body())

    connection = await server.connect()
    await connection.send(head("POST", "/upload", 20 * 1024))
    for _ in range(20):
        await connection.send(b"x" * 1024)
        await asyncio.sleep(3 * SHORT / 20)
    assert await connection.status() == 200


async def test_an_application_that_takes_its_time_is_waited_for(server: Listening) -> None:
    @server.app.post("/slow")
    async def slow(request: Request) -> int:
        await asyncio.sleep(3 * SHORT)
        return len(await request.body())

    connection = await server.connect()
    await connection.send(head("POST", "/slow", 100_000) + b"x" * 100_000)  # more than is read ahead
    assert await connection.status() == 200
    waits = await server.connect()
    await waits.send(head("POST", "/slow", 1, "Expect: 100-continue"))
    assert await waits.status() == 100
    await waits.send(b"x")
    assert await waits.status() == 200


class NeverReads:
    """A client with a small buffer that it does not empty."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


def open_connections(server: Listening) -> int:
    return len(server.server.server_state.connections)


@pytest.mark.parametrize("more", ["", "Connection: close"])
@pytest.mark.parametrize("path", ["/whole", "/streamed", "/broken"])
async def test_a_client_that_never_reads_a_large_answer_is_cut_off(
    server: Listening, path: str, more: str
) -> None:
    @server.app.get("/whole")
    async def whole() -> Response:
        return Response(b"x" * 20_000_000)

    async def pieces(count: int, *, then_fail: bool) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 30_000
        if then_fail:
            raise RuntimeError("the application's own slip")

    @server.app.get("/streamed")
    async def streamed() -> Response:
        return StreamingResponse(pieces(1_000, then_fail=False))

    @server.app.get("/broken")
    async def broken() -> Response:
        return StreamingResponse(pieces(1_000, then_fail=True))

    client = NeverReads(server.port)
    try:
        await asyncio.to_thread(client.send, head("GET", path, 0, *([more] if more else [])))
        await until(lambda: open_connections(server) == 1)
        await until(lambda: open_connections(server) == 0, LONG)
    finally:
        client.close()


async def test_a_client_that_reads_slowly_but_fairly_gets_the_whole_answer(server: Listening) -> None:
    size = 3_000_000

    @server.app.get("/whole")
    async def whole() -> Response:
        return Response(b"x" * size)

    connection = await server.connect()
    await connection.send(head("GET", "/whole", 0))
    assert await connection.read_slowly(size, seconds=2 * SHORT) == size


def counted(reason: str) -> float:
    """What /metrics shows."""
    shown = exposition("", {})[0].decode()
    line = f'billing_connections_ended_total{{reason="{reason}"}} '
    return next(float(each.removeprefix(line)) for each in shown.splitlines() if each.startswith(line))


async def test_the_metric_counts_why_connections_were_ended(server: Listening) -> None:
    slow_heads, slow_readers = counted("slow_head"), counted("slow_reader")
    connection = await server.connect()
    assert await connection.status(LONG) == 408
    assert await connection.closed(LONG)
    assert (counted("slow_head"), counted("slow_reader")) == (slow_heads + 1, slow_readers)
