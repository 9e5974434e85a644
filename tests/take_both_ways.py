"""Writers of both kinds: threads with synchronous sessions, and tasks with asynchronous ones.

`python -m tests.take_both_ways URL PLANS EACH` has so many of each, and prints how much they took together.
Each takes one after the other until it is denied. Every third transaction is rolled back.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import limits
from app.db import Database, open_database
from app.limits import LimitExceeded, Limits
from app.plans import load_catalogue

USER, FEATURE = "ada", "projects"
MOST = 1000
"""Far more than the limit, so that broken code ends, too."""
BUSY = (TimeoutError, OperationalError)
"""The pool is empty, or the row or the file locked, for seconds on a busy machine: nothing was taken."""


def sync_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def patient(session: Session) -> None:
    """Wait for SQLite's file as long as it takes: many write to it at once."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA busy_timeout = 60000"))


def in_a_thread(engine: Engine) -> int:
    """How much was taken and committed."""
    taken = 0
    for attempt in range(1, MOST):
        try:
            with Session(engine) as session:
                patient(session)
                limits.consume(session, USER, FEATURE)
                if attempt % 3 == 0:
                    session.rollback()
                else:
                    session.commit()
                    taken += 1
        except LimitExceeded:
            break
    return taken


async def in_a_task(database: Database) -> int:
    """How much was taken and committed."""
    taken = 0
    for attempt in range(1, MOST):
        try:
            async with database.session() as session:
                await limits.consume(session, USER, FEATURE)
                if attempt % 3 == 0:
                    await session.rollback()
            taken += attempt % 3 != 0
        except BUSY:
            pass
        except LimitExceeded:
            break
    return taken


async def take(database: Database, url: str, each: int) -> int:
    """How much so many threads and as many tasks took together."""
    engine = create_engine(sync_url(url), pool_size=each, pool_timeout=60)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(each) as threads:
        taken = await asyncio.gather(
            *(loop.run_in_executor(threads, in_a_thread, engine) for _ in range(each)),
            *(in_a_task(database) for _ in range(each)),
            return_exceptions=True,  # while one of them fails the others still need the loop
        )
    engine.dispose()
    failed = [one for one in taken if isinstance(one, BaseException)]
    if failed:
        raise failed[0]
    return sum(one for one in taken if isinstance(one, int))


async def main(url: str, plans: str, each: int) -> None:
    database = open_database(url, patient=True)
    limits.use(Limits(database, load_catalogue(Path(plans))))
    sys.stdout.write(f"{await take(database, url, each)}\n")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
