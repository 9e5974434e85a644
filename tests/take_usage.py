"""A process whose tasks consume and release at once: `python -m tests.take_usage URL PLANS SEED TASKS`.

It begins with the first line of its input and goes on until the next. After every ten steps it prints how
many grants and denials there were. In the end it prints what it committed without a key, and for every grant
what was used then and between which versions of the user it was made.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from functools import partial
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database, open_database
from app.errors import Conflict, Unavailable
from app.limits import LimitExceeded, Limits
from app.plans import load_catalogue

from .waiting import until

ROUND = 10
"""Steps from one report to the next."""
KEYS = 10
"""Idempotency keys that are used again and again; what they take stays taken."""
USER, FEATURE = "ada", "projects"


class RolledBack(Exception):
    """Ends a transaction without committing it."""


class Worker:
    """One task. `balance` is what it has used without a key and not released."""

    def __init__(self, database: Database, limits: Limits, seed: int) -> None:
        self.database = database
        self.limits = limits
        self.random = random.Random(seed)
        self.balance = 0
        self.steps = 0
        self.denied = 0
        self.grants: list[tuple[int, int, int]] = []

    async def run(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            self.steps += 1
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


def say(words: object) -> None:
    sys.stdout.write(f"{json.dumps(words)}\n")
    sys.stdout.flush()


async def report(workers: list[Worker]) -> None:
    """Print after every round how many grants and denials there were."""
    goal = itertools.count(ROUND, ROUND)
    while True:
        await until(partial(have_made, workers, next(goal)))
        say([sum(len(worker.grants) for worker in workers), sum(worker.denied for worker in workers)])


def have_made(workers: list[Worker], steps: int) -> bool:
    return sum(worker.steps for worker in workers) >= steps


async def main(url: str, plans: str, seed: int, tasks: int) -> None:
    database = open_database(url, patient=True)
    limits = Limits(database, load_catalogue(Path(plans)), time.time)
    workers = [Worker(database, limits, seed * 1000 + number) for number in range(tasks)]
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    stopped = asyncio.Event()
    running = [asyncio.create_task(worker.run(stopped)) for worker in workers]
    reporting = asyncio.create_task(report(workers))
    await asyncio.to_thread(sys.stdin.readline)
    reporting.cancel()
    stopped.set()
    await asyncio.gather(*running)
    await database.close()
    balance = sum(worker.balance for worker in workers)
    say({"balance": balance, "grants": [grant for worker in workers for grant in worker.grants]})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
