"""The work that is not finished: events, outbox entries, and records to fetch again from Stripe.

The statements read partial indexes only, so their cost grows with the backlog, not with the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.manual import TO_REFRESH
from ..db.models import EventState, OutboxState

UNSETTLED_EVENTS = (EventState.PENDING, EventState.FAILED, EventState.DEAD)
UNSETTLED_OUTBOX = (OutboxState.PENDING, OutboxState.DEAD)

# The conditions are those of partial indexes, word for word, so that finished rows are never read.
COUNT_UNSETTLED_EVENTS = text(
    "SELECT state, COUNT(*) AS count, MIN(received_at) AS oldest FROM billing_event "
    "WHERE state IN ('pending', 'failed', 'dead') GROUP BY state"
)
COUNT_UNSETTLED_OUTBOX = text(
    "SELECT state, COUNT(*) AS count, MIN(created_at) AS oldest FROM billing_outbox "
    "WHERE state IN ('pending', 'dead') GROUP BY state"
)
COUNT_NEEDS_REFRESH = text(
    f"SELECT 'subscription' AS kind, COUNT(*) AS count FROM {TO_REFRESH['subscription']} "  # noqa: S608
    f"UNION ALL SELECT 'customer', COUNT(*) FROM {TO_REFRESH['customer']}"
)


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
        inbox = await _waiting(session, COUNT_UNSETTLED_EVENTS)
        outbox = await _waiting(session, COUNT_UNSETTLED_OUTBOX)
        found = await (await session.connection()).execute(COUNT_NEEDS_REFRESH)
        return Backlog(
            inbox={state: inbox.get(state, Waiting()) for state in UNSETTLED_EVENTS},
            outbox={state: outbox.get(state, Waiting()) for state in UNSETTLED_OUTBOX},
            needs_refresh={row["kind"]: row["count"] for row in found.mappings()},
        )


async def _waiting(session: AsyncSession, statement: TextClause) -> dict[str, Waiting]:
    found = await (await session.connection()).execute(statement)
    # A row is a tuple, whose own `count` is a method.
    return {row["state"]: Waiting(row["count"], row["oldest"]) for row in found.mappings()}
