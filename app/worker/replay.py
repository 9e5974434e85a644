"""Replay: makes stored events due again."""

import time
from collections.abc import Sequence

from sqlalchemy import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from ..db import Database
from ..db.audit import audit_entry
from . import statements


async def replay(
    database: Database,
    actor: str,
    *,
    states: Sequence[str],
    event_id: str | None = None,
    event_type: str | None = None,
    object_id: str | None = None,
) -> int:
    """Make events due now, as if they had never failed; how many. `actor` stands in the audit trail."""
    async with database.session() as session:
        replayed = await replay_in(
            session, states=states, event_id=event_id, event_type=event_type, object_id=object_id
        )
        session.add(
            audit_entry(
                at=int(time.time()),
                actor=actor,
                action="events.replay",
                subject=event_id or object_id or "*",
                before={"states": list(states), "type": event_type},
                after={"replayed": replayed},
            )
        )
    return replayed


async def replay_in(
    session: AsyncSession,
    *,
    states: Sequence[str],
    event_id: str | None = None,
    event_type: str | None = None,
    object_id: str | None = None,
) -> int:
    """As `replay`, in the caller's transaction."""
    connection = await session.connection()
    result: CursorResult[object] = await connection.execute(
        statements.replay(connection.dialect.name),
        {"states": list(states), "id": event_id, "type": event_type, "object_id": object_id},
    )
    return result.rowcount
