"""`/internal/outbox`: reactions on their way to durable receivers, outbound webhooks included."""

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import literal_column
from sqlmodel import col, select

from ..db.keyset import in_key_order
from ..db.models import OutboxEntry
from ..operations.replay import replay_outbox
from ..service import Running
from .auth import Actor, GuardedRoute
from .events import Replayed
from .pagination import Cursor, Limit, decode_cursor, page_of
from .schemas import JANUARY, Id, Page, Time

router = APIRouter(prefix="/outbox", route_class=GuardedRoute)

State = Literal["pending", "done", "dead"]


class OutboxEntryOut(BaseModel):
    """A reaction for one receiver, and what became of it."""

    entry_id: str = Field(examples=["entitlements_changed:user_42:7:webhook:api.example.com:1a2b3c4d"])
    signal: str = Field(examples=["entitlements_changed"])
    receiver: str = Field(examples=["webhook:api.example.com:1a2b3c4d"])
    state: State
    attempts: int
    last_error: str | None = Field(examples=["Refused: The receiver answered with 500."])
    created_at: int = Field(examples=[JANUARY], description="Unix seconds")
    failing_since: Time
    next_attempt_at: Time = Field(description="null where it is not tried by itself")

    @classmethod
    def of(cls, row: Any) -> Self:
        due = row.next_attempt_at if row.state == "pending" else None
        names = ("signal", "receiver", "state", "attempts", "last_error", "created_at", "failing_since")
        return cls(entry_id=row.id, next_attempt_at=due, **{name: getattr(row, name) for name in names})


class OutboxFilter(BaseModel):
    """Which entries to send again; each member that is given narrows it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"receiver": "webhook:api.example.com:1a2b3c4d"}}
    )

    receiver: Id | None = None
    entry_id: Annotated[str | None, Field(min_length=1, max_length=1024)] = None


@router.get("")
async def list_outbox(
    service: Running,
    state: State | None = None,
    receiver: Annotated[Id | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[OutboxEntryOut]:
    """Entries of the outbox, newest first. `state=dead` lists the dead letters."""
    key = (col(OutboxEntry.created_at), col(OutboxEntry.id))
    after = None if cursor is None else decode_cursor(cursor, int, str)
    query = in_key_order(select(OutboxEntry), key, after, descending=True)
    query = query.where(col(OutboxEntry.receiver) != "").limit(limit + 1)
    if state is not None:  # written out, not bound: else the partial index of what waits is not used
        query = query.where(literal_column("state") == literal_column(f"'{state}'"))
    if receiver is not None:
        query = query.where(col(OutboxEntry.receiver) == receiver)
    async with service.database.reading() as session:
        rows = (await session.exec(query)).all()
    page, following = page_of(rows, limit, lambda row: (row.created_at, row.id))
    return Page(data=[OutboxEntryOut.of(row) for row in page], next_cursor=following)


@router.post("/replay")
async def replay_outbox_entries(chosen: OutboxFilter, service: Running, actor: Actor) -> Replayed:
    """Make what receivers have not taken due now, dead letters included. What was taken stays done."""
    count = await replay_outbox(
        service.database,
        actor,
        at=int(service.clock()),
        receiver=chosen.receiver,
        entry_id=chosen.entry_id,
    )
    return Replayed(replayed=count)
