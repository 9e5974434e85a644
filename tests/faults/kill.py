"""Deliver a history while the server is killed again and again. `python -m tests.faults.kill KILLS`."""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from app.db import open_database
from app.db.migrations import migrate
from app.simulator import NEW, Account, Event, Faults, deliveries, event_body, random_history, sign, truth
from tests.client import AUTH, SECRET
from tests.databases import PostgresServer
from tests.records import stored
from tests.waiting import LONGEST_SECONDS

from .servers import CONNECTION_LOST, Server

CONCURRENCY = 16
STEPS_PER_KILL = 60
KILLS_PER_HISTORY = 25


class Delivery:
    """Stripe, as persistent as it is: what is not answered with 200 is sent again."""

    def __init__(self, url: str, events: list[Event], *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._url = f"{url}/webhook/stripe"
        self._waiting = events
        self.answers: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.longest = 0.0
        """Seconds that the slowest answer took."""
        self._count = len({event.id for event in events})
        self._progress = asyncio.Event()

    async def run(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
            while self._waiting:
                queue = iter(self._waiting)
                self._waiting = []
                await asyncio.gather(*(self._send_all(client, queue) for _ in range(CONCURRENCY)))

    async def reached(self, share: float) -> None:
        """Wait until this share of the events is acknowledged: however fast the machine, it is in between."""
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(self.acknowledged) < share * self._count:
                self._progress.clear()
                await self._progress.wait()

    async def _send_all(self, client: httpx.AsyncClient, queue: Iterator[Event]) -> None:
        for event in queue:
            body = event_body(event, NEW)
            headers = {"Stripe-Signature": sign(body, SECRET, int(self._clock()))}
            began = time.monotonic()
            try:
                answer = await client.post(self._url, content=body, headers=headers)
                self.longest = max(self.longest, time.monotonic() - began)
            except CONNECTION_LOST:
                self.answers["connection lost"] += 1
                self._waiting.append(event)
                await asyncio.sleep(0.02)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == httpx.codes.OK:
                self.acknowledged.add(event.id)
                self._progress.set()
            else:
                self._waiting.append(event)


async def kill_again_and_again(database_url: str, folder: Path, *, kills: int, seed: int) -> str:
    """Play one history while the server is killed so many times, and check it; the figures in a line."""
    rng, account = random.Random(seed), Account(seed, start=int(time.time()) - 86_400 * 400)
    random_history(account, rng, customers=20, steps=STEPS_PER_KILL * kills)
    sent = deliveries(account.events, rng, Faults(duplicates=0.3, reorder=True))
    async with Server(database_url, folder) as server:
        delivery = Delivery(server.url, sent)
        async with asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            await kill_meanwhile(server, delivery, rng, kills)
        await check_inbox(server.url, delivery.acknowledged)
    database = open_database(database_url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
    assert set(delivery.answers) <= {"200", "connection lost", "503"}
    return f"{database.name}: {kills} kills, {len(sent)} deliveries, answers {dict(delivery.answers)}"


async def kill_meanwhile(server: Server, delivery: Delivery, rng: random.Random, kills: int) -> None:
    """Kill the server so many times while events arrive, and start it again each time."""
    for share in sorted(rng.uniform(0.0, 0.9) for _ in range(kills)):
        await delivery.reached(share)
        await asyncio.sleep(rng.uniform(0.0, 0.01))
        server.kill9()
        await server.start()


async def check_inbox(url: str, acknowledged: set[str]) -> None:
    """Every event that was answered with 200 is in the inbox, or on its way there from the spool."""
    async with (
        httpx.AsyncClient(base_url=url, headers=AUTH, trust_env=False) as client,
        asyncio.timeout(LONGEST_SECONDS),
    ):
        missing = acknowledged
        while missing:
            found = set()
            for event_id in missing:
                answer = await client.get(f"/internal/events/{event_id}")
                if answer.status_code == httpx.codes.OK and answer.json()["state"] in (
                    "processed",
                    "ignored",
                ):
                    found.add(event_id)
            missing = missing - found
            await asyncio.sleep(0.2 if missing else 0)


def main(kills: int) -> None:
    server = PostgresServer(fsync=True)
    server.start()
    try:
        migrate(server.url)
        with tempfile.TemporaryDirectory() as folder:
            for url in (server.url, f"sqlite:///{Path(folder) / 'app.db'}"):
                for seed in range(-(-kills // KILLS_PER_HISTORY)):
                    count = min(kills - seed * KILLS_PER_HISTORY, KILLS_PER_HISTORY)
                    line = asyncio.run(kill_again_and_again(url, Path(folder), kills=count, seed=seed))
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
    finally:
        server.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]))
