"""The service behind a real socket of uvicorn, in this process, so that a test may set its limits."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.simulator import sign
from app.web.protocol import BoundedHttp
from tests.client import SECRET, settings_for
from tests.waiting import LONGEST_SECONDS, until


@dataclass
class Listening:
    """An application that listens on a port of 127.0.0.1."""

    app: FastAPI
    port: int
    server: uvicorn.Server

    connections: list["Connection"] = field(default_factory=list)

    async def connect(self) -> "Connection":
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(connection)
        return connection


class Connection:
    """A connection for bytes of any kind."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> bool:
        """Send; False once the server has closed."""
        if self._writer.is_closing():  # uvloop's write would raise a RuntimeError
            return False
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return not self._reader.at_eof()

    async def status(self, seconds: float = LONGEST_SECONDS) -> int:
        """The status of the next answer; 0 for a connection that was closed without one."""
        async with asyncio.timeout(seconds):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0
        lines = head.lower().split(b"\r\n")
        for line in lines:
            if line.startswith(b"content-length: "):
                await self._reader.readexactly(int(line[16:]))
        return int(head.split(b" ")[1])

    async def closed(self, seconds: float = LONGEST_SECONDS) -> bool:
        """Whether the server closes within the time; what it still says is passed over."""
        try:
            async with asyncio.timeout(seconds):
                await self._reader.read()
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    async def read_slowly(self, size: int, seconds: float) -> int:
        """Read a body of so many bytes in small pieces, over the time; how many came."""
        await self._reader.readuntil(b"\r\n\r\n")
        came, pieces = 0, 20
        while came < size and (piece := await self._reader.read(size // pieces)):
            came += len(piece)
            await asyncio.sleep(seconds * len(piece) / size)
        return came

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def listening(
    database_url: str, *, clock: Callable[[], float] = time.time, keep_alive: int = 5, **changes: Any
) -> AsyncIterator[Listening]:
    """The service on a free port, with its lifespan. `keep_alive`: seconds between two requests."""
    app = create_app(settings_for(database_url, **changes), clock=clock)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=keep_alive,
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        started = Listening(app, listener.getsockname()[1], server)
        try:
            yield started
        finally:
            await asyncio.gather(*(connection.close() for connection in started.connections))
            server.should_exit = True
            await serving


def request(body: bytes, *headers: str, path: str = "/webhook/stripe", length: int | None = None) -> bytes:
    """The bytes of a signed POST. `length` announces another length than the body's; -1 announces none."""
    announced = len(body) if length is None else length
    lines = [f"POST {path} HTTP/1.1", "Host: billing.test", *headers]
    lines += [f"Stripe-Signature: {sign(body, SECRET, int(time.time()))}"]
    lines += [f"Content-Length: {announced}"] if announced >= 0 else ["Transfer-Encoding: chunked"]
    return "\r\n".join([*lines, "", ""]).encode() + body
