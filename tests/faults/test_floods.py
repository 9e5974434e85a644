"""Seven floods, each of more connections than the process may have: webhooks are answered meanwhile."""

import asyncio
import socket
import sys
import time
from pathlib import Path
from statistics import median

import argon2
import httpx
import psutil
import pytest

from app.simulator import NEW, Account, event_body, sign
from tests.client import SECRET
from tests.waiting import LONGEST_SECONDS, until

from .servers import Server

DESCRIPTORS = 256
SOCKETS = 300
WAVES = 3
"""How many floods of one kind follow each other in the longer test."""
ADMIN = {
    "ADMIN_USERNAME": "admin",
    "ADMIN_PASSWORD_HASH": argon2.PasswordHasher().hash("a-password-for-tests"),
}


def head(method: str, path: str, length: int, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: billing.test", f"Content-Length: {length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


FORM = "Content-Type: application/x-www-form-urlencoded"
FLOODS = {
    "a refused POST, and one byte more": (head("POST", "/internal/subscription/update", 100), b"x"),
    "a path that is not there, and one byte more": (head("POST", "/nowhere", 100), b"x"),
    "a GET with a body": (head("GET", "/healthz", 100), b"x"),
    "a slow log-in form": (head("POST", "/admin/login", 100, FORM) + b"username=", b""),
    "a slow head": (b"POST /webhook/stripe HTTP/1.1\r\nHost:", b""),
    "a silent socket": (b"", b""),
    "an answer that is never read": (head("GET", "/admin/statics/css/tabler.min.css", 0) * 6, b""),
}
"""What each socket sends first, and what after an answer."""


class Flood:
    """Sockets that are kept open on this side for as long as the block lasts."""

    def __init__(self, port: int, first: bytes, then: bytes) -> None:
        self._port, self._first, self._then = port, first, then
        self._sockets: list[socket.socket] = []

    def begin(self) -> None:
        self._sockets = [each for each in (self._open() for _ in range(SOCKETS)) if each is not None]

    def end(self) -> None:
        for each in self._sockets:
            each.close()

    def _open(self) -> socket.socket | None:
        """One more; None where the server has closed it already."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        try:
            connection.connect(("127.0.0.1", self._port))
            connection.setblocking(False)
            if self._first:
                connection.send(self._first)
            if self._then:
                connection.settimeout(1)
                connection.recv(4096)
                connection.send(self._then)
        except OSError:
            connection.close()
            return None
        return connection


class Sender:
    """Sends events one by one, each over a connection of its own, as Stripe does."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/webhook/stripe"
        self._account = Account(1, start=int(time.time()) - 60)
        self.seconds: list[float] = []

    async def send(self) -> int:
        """The status of the answer."""
        self._account.create_customer()
        body = event_body(self._account.events[-1], NEW)
        headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
        began = time.monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=LONGEST_SECONDS) as client:
            answer = await client.post(self._url, content=body, headers=headers)
        self.seconds.append(time.monotonic() - began)
        return answer.status_code


async def flooded(server: Server, name: str, sender: Sender) -> list[int]:
    """The statuses of webhooks that are sent while a flood is on."""
    flood = Flood(server.port, *FLOODS[name])
    try:
        await asyncio.to_thread(flood.begin)
        return [await sender.send() for _ in range(5)]
    finally:
        flood.end()


@pytest.mark.long
async def test_webhooks_are_answered_during_each_flood_of_connections(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with Server(sqlite_database, tmp_path, descriptors=DESCRIPTORS, environment=ADMIN) as server:
        sender = Sender(server)
        assert await sender.send() == 200
        answers = {name: await flooded(server, name, sender) for name in FLOODS}
    assert answers == dict.fromkeys(FLOODS, [200] * 5)


@pytest.mark.chaos
@pytest.mark.parametrize("name", FLOODS)
async def test_webhooks_are_answered_during_wave_upon_wave_and_every_connection_ends(
    postgres_database: str, tmp_path: Path, name: str
) -> None:
    async with Server(postgres_database, tmp_path, descriptors=DESCRIPTORS, environment=ADMIN) as server:
        sender, process = Sender(server), psutil.Process(server.pid)
        assert await sender.send() == 200
        before = process.num_fds()
        floods = [Flood(server.port, *FLOODS[name]) for _ in range(WAVES)]
        statuses = []
        try:
            for flood in floods:
                sending = asyncio.create_task(sender.send())
                await asyncio.to_thread(flood.begin)
                statuses += [await sending, *[await sender.send() for _ in range(5)]]
            most = process.num_fds()
            await until(lambda: process.num_fds() < before + 20, 60)
        finally:
            for flood in floods:
                flood.end()
        assert statuses == [200] * len(statuses)
        assert most < DESCRIPTORS
    median_ms, longest_ms = median(sender.seconds) * 1000, max(sender.seconds) * 1000
    sys.stdout.write(
        f"\n{name}: {WAVES} x {SOCKETS} sockets, {DESCRIPTORS} descriptors; {len(statuses)} webhooks, "
        f"all 200, median {median_ms:.0f} ms, longest {longest_ms:.0f} ms\n"
    )
