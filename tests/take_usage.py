"""A process whose tasks consume and release at once: `python -m tests.take_usage URL PLANS SEED TASKS`.

It begins with the first line of its input. Once it has made and was denied enough it prints `enough`, and
goes on until the next line. Then it prints what it committed without a key, how much was denied, and for each
grant what was used then and between which versions of the user it was made.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database, open_database
from app.errors import Conflict, Unavailable
from app.limits import LimitExceeded, Limits
from app.plans import load_catalogue

from .waiting import until

GRANTS, DENIALS = 20, 5
"""What is enough of each, for the tasks of one process together."""
KEYS = 10
"""Idempotency keys that are used again and again; what they take stays taken."""
USER, FEATURE = "ada", "projects"


class RolledBack(Exception):
    """Ends a transaction without committing it."""


class Worker:
    """One task. `balance` is what it has taken without a key and not given back."""

    def __init__(self, database: Database, limits: Limits, seed: int) -> None:
        self.database = database
        self.limits = limits
        self.random = random.Random(seed)
        self.balance = 0
        self.denied = 0
        self.grants: list[tuple[int, int, int]] = []

    async def run(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            try:
                self.balance += await self.step()
            except (RolledBack, Conflict, Unavailable, OperationalError):
                pass  # on a busy machine also what changes too fast, and a SQLite file locked for too long
            except LimitExceeded:
                self.denied += 1

    async def step(self) -> int:
        """One transaction; by what it changes the balance."""
        amount, kind = self.random.randint(1, 3), self.random.random()
        async with self.database.session() as session:
            if kind < 0.25:
                key = f"key-{self.random.randint(1, KEYS)}"
                await self.limits.consume(session, USER, FEATURE, amount, key=key)
                return 0
            if kind < 0.55 and self.balance >= amount:
                await self.limits.release(session, USER, FEATURE, amount)
                return -amount
            await self.take(session, amount)
            if kind > 0.8:
                raise RolledBack
            return amount

    async def take(self, session: AsyncSession, amount: int) -> None:
        first = await version_in_force(session)
        decision = await self.limits.consume(session, USER, FEATURE, amount)
        # The statement began under one of these versions; while it waited for the row there may be more.
        self.grants.append((decision.used, first, await version_in_force(session)))


async def version_in_force(session: AsyncSession) -> int:
    connection = await session.connection()
    return int((await connection.execute(text("SELECT version FROM billing_user"))).scalar_one())


def denials(workers: list[Worker]) -> int:
    return sum(worker.denied for worker in workers)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(url: str, plans: str, seed: int, tasks: int) -> None:
    database = open_database(url, patient=True)
    limits = Limits(database, load_catalogue(Path(plans)), time.time)
    workers = [Worker(database, limits, seed * 1000 + number) for number in range(tasks)]
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    stopped = asyncio.Event()

    def have_enough() -> bool:
        return sum(len(each.grants) for each in workers) >= GRANTS and denials(workers) >= DENIALS

    async def stop() -> None:
        await until(have_enough)
        say("enough")
        await asyncio.to_thread(sys.stdin.readline)
        stopped.set()

    await asyncio.gather(stop(), *(worker.run(stopped) for worker in workers))
    await database.close()
    result = {
        "balance": sum(worker.balance for worker in workers),
        "denied": denials(workers),
        "grants": [grant for worker in workers for grant in worker.grants],
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
