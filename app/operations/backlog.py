"""What is not done yet, as the database has it: asked for by `/metrics`, `status` and whoever watches.

Only partial indexes are read: what it costs grows with what is not done, not with what was.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import TextClause
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database, statements
from ..db.models import EventState, OutboxState

UNSETTLED_EVENTS = (EventState.PENDING, EventState.FAILED, EventState.DEAD)
UNSETTLED_OUTBOX = (OutboxState.PENDING, OutboxState.DEAD)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait in one state, and since when the oldest does, in Unix seconds."""

    count: int = 0
    oldest: int | None = None

    def age(self, now: float) -> float:
        """In seconds; 0 where nothing waits."""
        return 0 if self.oldest is None else max(now - self.oldest, 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    inbox: Mapping[str, Waiting]
    """By state: pending, failed, dead."""
    outbox: Mapping[str, Waiting]
    """By state: pending, dead."""
    needs_refresh: Mapping[str, int]
    """How many subscriptions and customers."""


async def read_backlog(database: Database) -> Backlog:
    """All of it as of one moment."""
    async with database.reading() as session:
        inbox = await _waiting(session, statements.UNSETTLED_EVENTS)
        outbox = await _waiting(session, statements.UNSETTLED_OUTBOX)
        found = await (await session.connection()).execute(statements.NEEDS_REFRESH)
        return Backlog(
            inbox={state: inbox.get(state, Waiting()) for state in UNSETTLED_EVENTS},
            outbox={state: outbox.get(state, Waiting()) for state in UNSETTLED_OUTBOX},
            needs_refresh={row["kind"]: row["count"] for row in found.mappings()},
        )


async def _waiting(session: AsyncSession, statement: TextClause) -> dict[str, Waiting]:
    found = await (await session.connection()).execute(statement)
    # A row is a tuple, whose own `count` is a method.
    return {row["state"]: Waiting(row["count"], row["oldest"]) for row in found.mappings()}
