"""Replay: makes stored events due now, as if they had never failed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.audit import ALL, audit_entry
from ..db.models import EventState, WebhookEvent
from . import statements

REPLAYABLE = (EventState.IGNORED, EventState.FAILED, EventState.DEAD)
"""States of the events that can be replayed; the internal API's own events never are."""


async def replay(
    database: Database,
    actor: str,
    *,
    at: int,
    states: Sequence[str] = REPLAYABLE,
    event_id: str | None = None,
    event_type: str | None = None,
    object_id: str | None = None,
) -> int:
    """Make events due now; how many. Each filter that is given narrows the choice. `at` in Unix seconds.

    A replay of one event that changes nothing leaves no entry in the audit trail. The caller wakes the
    worker.
    """
    async with database.session() as session:
        event = await _stored(session, event_id)
        connection = await session.connection()
        result: CursorResult[object] = await connection.execute(
            statements.make_due(connection.dialect.name),
            {"states": list(states), "id": event_id, "type": event_type, "object_id": object_id},
        )
        replayed = result.rowcount
        if replayed or event_id is None:
            session.add(
                audit_entry(
                    at=at,
                    actor=actor,
                    action="events.replay",
                    subject=event_id or object_id or ALL,
                    before={"states": list(states), "type": event_type} if event_id is None else event,
                    after={"replayed": replayed},
                )
            )
    return replayed


async def replay_outbox(
    database: Database, actor: str, *, at: int, receiver: str | None = None, entry_id: str | None = None
) -> int:
    """Make reactions that receivers have not taken due now, dead ones included; how many.

    Each filter that is given narrows the choice. `at` in Unix seconds.
    """
    async with database.session() as session:
        result: CursorResult[object] = await (await session.connection()).execute(
            statements.MAKE_OUTBOX_DUE, {"receiver": receiver, "id": entry_id}
        )
        session.add(
            audit_entry(
                at=at,
                actor=actor,
                action="outbox.replay",
                subject=entry_id or receiver or ALL,
                after={"replayed": result.rowcount},
            )
        )
    return result.rowcount


async def _stored(session: AsyncSession, event_id: str | None) -> dict[str, Any] | None:
    """What the replay of one event overwrites."""
    if event_id is None:
        return None
    names = ("state", "attempts", "last_error")
    query = select(*(getattr(WebhookEvent, name) for name in names)).where(col(WebhookEvent.id) == event_id)
    row = (await session.exec(query)).first()
    return None if row is None else dict(zip(names, row, strict=True))
