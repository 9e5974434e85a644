"""Bodies for the webhook, and what must hold after them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from sqlalchemy import text

from app.simulator import Account
from tests.client import Client, running

NOW = 1_893_456_000
numbers = itertools.count(1)


@asynccontextmanager
async def service(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: NOW) as client:
        yield client
        await takes_a_normal_event(client)


async def takes_a_normal_event(client: Client) -> None:
    """The proof that nothing before has left the service any worse."""
    account = Account(next(numbers), start=NOW - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"))
    assert set(await client.deliver(*account.events)) <= {"processed", "ignored"}
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["user_id"]) == ("active", "ada")


async def rows(client: Client) -> int:
    async with client.app.state.billing.database.reading() as session:
        found = await (await session.connection()).execute(text("SELECT count(*) FROM billing_event"))
        number: int = found.scalar_one()
        return number


async def post_all(client: Client, bodies: Sequence[bytes]) -> list[httpx.Response]:
    """All at once, so that hostile ones share a batch with each other."""
    return list(await asyncio.gather(*(client.post_signed(body) for body in bodies)))


NESTED: Any = "x"
for _ in range(200):
    NESTED = [NESTED]
