"""Somebody's report keeps one record locked while events arrive: only the events of that record wait."""

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

import asyncpg
import httpx
import orjson
import pytest

from app.simulator import sign
from tests.client import SECRET

from .kill import check_inbox
from .servers import Server

pytestmark = pytest.mark.chaos

LOCKED_SECONDS = 40
EVENTS_PER_SECOND = 30
ONE_IN = 100
"""How many events there are to one that names the locked record."""
CUSTOMERS = 400
DEFERRED_SHARE = 0.15


def event_of(customer: str, number: int) -> bytes:
    """The body of an event: the customer's e-mail address changed."""
    now = int(time.time())
    described = {"id": customer, "object": "customer", "created": now - 60, "email": f"{number}@example.com"}
    event = {"id": f"evt_{number}", "object": "event", "type": "customer.updated", "created": now}
    return orjson.dumps(event | {"livemode": False, "data": {"object": described}})


class Stream:
    """Sends events at a steady rate, each over a connection of its own, as Stripe does."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/webhook/stripe"
        self._rng = random.Random(17)
        self.locked: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.ids: set[str] = set()

    async def run(self, seconds: float) -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=64)) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(1, round(seconds * EVENTS_PER_SECOND)):
                group.create_task(self.send(client, number))
                await asyncio.sleep(1 / EVENTS_PER_SECOND)

    async def send(self, client: httpx.AsyncClient, number: int) -> None:
        locked = number % ONE_IN == 0
        body = event_of("cus_locked" if locked else f"cus_{self._rng.randrange(CUSTOMERS)}", number)
        headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
        answer = await client.post(self._url, content=body, headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text
        self.ids.add(f"evt_{number}")
        (self.locked if locked else self.others)[answer.json()["status"]] += 1


async def test_events_that_name_a_locked_record_wait_and_the_others_do_not(
    postgres_database: str, tmp_path: Path
) -> None:
    async with Server(postgres_database, tmp_path) as server:
        stream = Stream(server)
        async with httpx.AsyncClient(trust_env=False) as client:
            await stream.send(client, 0)
        report = await asyncpg.connect(postgres_database)
        try:
            async with report.transaction():
                await report.execute("SELECT id FROM billing_customer WHERE id = 'cus_locked' FOR UPDATE")
                await stream.run(LOCKED_SECONDS)
        finally:
            await report.close()
        await check_inbox(server.url, stream.ids)
    others, locked = stream.others, stream.locked
    share = others["deferred"] / others.total()
    sys.stdout.write(
        f"\na record locked for {LOCKED_SECONDS} s: {others.total()} events of others, {share:.1%} deferred; "
        f"{locked.total()} of its own, {locked['deferred']} deferred; none lost\n"
    )
    assert share <= DEFERRED_SHARE
