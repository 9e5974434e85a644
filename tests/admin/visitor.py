"""A person at the admin screen, without a browser: cookies, forms with their tokens, pages as text."""

import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
from argon2 import PasswordHasher
from pydantic import SecretStr

from tests.client import Client, running

USERNAME, PASSWORD = "grace", "not-a-real-password"
START = 1_893_456_000


class Clock:
    """A clock that moves only when a test says so."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def password_hash() -> str:
    """As weak as it gets: so many log in here that a real one would take a tenth of all tests' time."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


class Visitor:
    """One browser's worth of cookies."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, path: str, status: int = 200) -> str:
        """The page that a path under /admin ends at."""
        response = await self.http.get(f"/admin{path}", follow_redirects=True)
        assert response.status_code == status, response.text
        return response.text

    async def log_in(self, username: str = USERNAME, password: str = PASSWORD) -> httpx.Response:
        token = token_of(await self.open("/login"))
        form = {"token": token, "username": username, "password": password}
        return await self.http.post("/admin/login", data=form)

    async def act(self, name: str, status: int = 303, /, **fields: str) -> httpx.Response:
        """Do an action: look at what will happen, and confirm."""
        token = token_of(await self.open("/audit"))
        form = fields | {"token": token}
        review = await self.http.post(f"/admin/action/{name}", data=form)
        if review.status_code != 200:
            assert review.status_code == status, review.text
            return review
        done = await self.http.post(f"/admin/action/{name}", data=form | {"confirmed": "yes"})
        assert done.status_code == status, done.text
        return done


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def words(page: str) -> str:
    """What a person reads on a page."""
    without_tags = re.sub(r"<[^>]*>", "", page)
    return re.sub(r"\s+", " ", html.unescape(without_tags))


@asynccontextmanager
async def admin(
    database_url: str, clock: Callable[[], float] | None = None, **changes: Any
) -> AsyncIterator[tuple[Client, Visitor]]:
    """A running service with the screen switched on, and somebody who is not logged in yet."""
    settings = {"admin_username": USERNAME, "admin_password_hash": SecretStr(password_hash())}
    async with running(database_url, clock=clock or Clock(), **(settings | changes)) as client:
        transport = httpx.ASGITransport(client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://billing.test") as http:
            yield client, Visitor(http)


@asynccontextmanager
async def logged_in(
    database_url: str, clock: Callable[[], float] | None = None, **changes: Any
) -> AsyncIterator[tuple[Client, Visitor]]:
    async with admin(database_url, clock, **changes) as (client, visitor):
        response = await visitor.log_in()
        assert response.status_code == 303, response.text
        yield client, visitor
