"""A receiver of outbound webhooks: a small HTTP server on a free port, which a test may let fail or hang."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pydantic import SecretStr
from standardwebhooks import Webhook

OLD_SECRET = "whsec_b2xkLXNlY3JldC1vZi10aGUtdGVzdHMtMDAwMQ=="
NEW_SECRET = "whsec_bmV3LXNlY3JldC1vZi10aGUtdGVzdHMtMDAwMQ=="
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[], Awaitable[bytes]]


async def take() -> bytes:
    return OK


class Receiver:
    """Keeps what it got: headers and body of each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answer = take
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?token=fake"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a service that sends here alone."""
        return settings_to(self)

    def verified(self, secret: str = OLD_SECRET) -> list[dict[str, Any]]:
        """The messages, verified by the official library."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
            pairs = (line.split(": ", 1) for line in head if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((headers, body))
            writer.write(await self.answer())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()


def settings_to(*receivers: Receiver, secret: str = OLD_SECRET) -> dict[str, Any]:
    """Settings of a service that sends to these receivers."""
    return {
        "webhook_out_urls": tuple(SecretStr(each.url) for each in receivers),
        "webhook_out_secrets": tuple(SecretStr(secret) for _ in receivers),
        "webhook_out_allow_private": True,
    }


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def data_of(message: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(message[1])["data"]
    return data
