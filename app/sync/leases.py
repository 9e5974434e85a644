"""Leases: at most one process runs a job. Each job has a row that holds its lease."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from sqlalchemy import CursorResult, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from ..db import Database
from ..db.models import Job, table_of
from ..errors import Unavailable

LEASE_SECONDS = 120
CLOCKS_DIFFER_SECONDS = 3600
"""How much the clocks of two processes may differ."""


def this_process() -> str:
    """This process, as the leases name it; one that was forked from it has another name."""
    return _name_of(os.getpid())


@cache
def _name_of(_pid: int) -> str:
    return secrets.token_hex(8)


async def acquire(database: Database, name: str, now: int, *, holder: str | None = None) -> bool:
    """Acquire or renew the lease of a job; False when another process has it. `now` in Unix seconds.

    A long job renews it with each step. The lease of a killed process expires within LEASE_SECONDS.
    """
    holder = holder or this_process()
    lost = col(Job.lease_until) > now + LEASE_SECONDS + CLOCKS_DIFFER_SECONDS  # by a clock set back since
    free = or_(col(Job.lease_until) <= now, lost, col(Job.holder) == holder)
    acquiring = (
        update(Job).where(col(Job.name) == name, free).values(holder=holder, lease_until=now + LEASE_SECONDS)
    )
    async with database.session() as session:
        if await session.get(Job, name) is None:
            await (await session.connection()).execute(_insert(database, name))
        result: CursorResult[Any] = await (await session.connection()).execute(acquiring)
        return result.rowcount == 1


async def renew(database: Database, name: str, now: int) -> None:
    """Renew the lease of a job that this process runs. `now` in Unix seconds.

    Raises:
        Unavailable: when another process has taken the job over: this one must do no more of it.
    """
    if not await acquire(database, name, now):
        raise Unavailable(f"Another process has taken over the job {name}, as this one was too slow.")


async def load_job(database: Database, name: str) -> Job | None:
    """A job's row; None when it has never run."""
    async with database.reading() as session:
        return await session.get(Job, name)


async def update_job(database: Database, name: str, **values: Any) -> None:
    """Set columns of the row of a job whose lease this process has; nothing once another process has it."""
    ours = (col(Job.name) == name, col(Job.holder) == this_process())
    async with database.session() as session:
        await (await session.connection()).execute(update(Job).where(*ours).values(**values))


@asynccontextmanager
async def released_after(database: Database, name: str) -> AsyncIterator[None]:
    """Release the lease at the end of the block, failed or not: else a job that failed seems to run on."""
    try:
        yield
    finally:
        await release(database, name)


async def release(database: Database, name: str) -> None:
    """Release the lease, so that the next process need not wait until it expires."""
    ours = (
        col(Job.name) == name,
        col(Job.holder) == this_process(),
    )  # an expired one may belong to another process by now
    async with database.session() as session:
        await (await session.connection()).execute(
            update(Job).where(*ours).values(holder=None, lease_until=0)
        )


def _insert(database: Database, name: str) -> Any:
    """Make the row, unless another process just has."""
    insert = sqlite.insert if database.name == "sqlite" else postgresql.insert
    return insert(table_of(Job)).values(name=name, lease_until=0).on_conflict_do_nothing()
