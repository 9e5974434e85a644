"""A process whose tasks draw grants down at once: `python -m tests.take_grants URL PLANS CLOCK SEED TASKS`.

CLOCK is a file with the time, in Unix seconds. It begins with the first line of its input and goes on until
the next; then it prints how much all its committed transactions have used together.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import OperationalError

from app.db import Database, open_database
from app.errors import Unavailable
from app.limits import LimitExceeded, Limits
from app.plans import load_catalogue

USER, FEATURE = "ada", "api_calls"


class RolledBack(Exception):
    """Ends a transaction without committing it."""


class Worker:
    """One task; `used` is what it has committed."""

    def __init__(self, database: Database, limits: Limits, seed: int) -> None:
        self.database = database
        self.limits = limits
        self.random = random.Random(seed)
        self.used = 0

    async def run(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            try:
                self.used += await self.step()
            except (RolledBack, LimitExceeded, Unavailable, OperationalError):
                await asyncio.sleep(0)

    async def step(self) -> int:
        """One transaction: take up to three, release some of it, or roll back."""
        amount = self.random.randint(1, 3)
        returned = self.random.randint(0, amount - 1)
        async with self.database.session() as session:
            await self.limits.consume(session, USER, FEATURE, amount)
            released = await self.limits.release(session, USER, FEATURE, returned) if returned else None
            # A period may have ended between the two: then there is nothing to release in the new one.
            over = released is not None and released.reason == "over_released"
            if over or self.random.random() < 0.2:
                raise RolledBack
        return amount - returned


def clock_of(file: Path) -> Callable[[], float]:
    """A clock that shows what a file says."""
    return lambda: float(file.read_text())


async def main(url: str, plans: str, clock: str, seed: int, tasks: int) -> None:
    database = open_database(url, patient=True)
    limits = Limits(database, load_catalogue(Path(plans)), clock_of(Path(clock)))
    workers = [Worker(database, limits, seed * 1000 + number) for number in range(tasks)]
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    stopped = asyncio.Event()
    running = [asyncio.create_task(worker.run(stopped)) for worker in workers]
    await asyncio.to_thread(sys.stdin.readline)
    stopped.set()
    await asyncio.gather(*running)
    await database.close()
    sys.stdout.write(f"{json.dumps(sum(worker.used for worker in workers))}\n")


if __name__ == "__main__":
    url, plans, clock, seed, tasks = sys.argv[1:]
    asyncio.run(main(url, plans, clock, int(seed), int(tasks)))
