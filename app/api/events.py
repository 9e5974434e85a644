"""`/internal/events`: the inbox, as it is."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlmodel import col

from ..db.keyset import in_key_order
from ..db.models import WebhookEvent
from ..errors import NotFound
from ..operations.replay import replay
from ..service import Running
from ..stripe.objects import as_id
from .auth import Actor, GuardedRoute
from .pagination import Cursor, Limit, decode_cursor, page_of
from .responses import NOT_FOUND
from .schemas import EVENT_COLUMNS, EventOut, Id, Page

router = APIRouter(prefix="/events", route_class=GuardedRoute)

ReplayState = Literal["ignored", "failed", "dead"]
State = Literal["pending", "processed", "ignored", "failed", "dead"]

# Never the body, nor the signature: the list is for looking, and they are large.
COLUMNS = [WebhookEvent.id, *(getattr(WebhookEvent, name) for name in EVENT_COLUMNS)]


@router.get("")
async def list_events(
    service: Running,
    state: State | None = None,
    type: Annotated[Id | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[EventOut]:
    """The events, newest first."""
    key = (col(WebhookEvent.received_at), col(WebhookEvent.id))
    after = None if cursor is None else decode_cursor(cursor, int, str)
    query = in_key_order(select(*COLUMNS), key, after, descending=True).limit(limit + 1)
    filters = {"state": state, "type": type, "object_id": object_id}
    for name, value in filters.items():
        if value is not None:
            query = query.where(getattr(WebhookEvent, name) == value)
    async with service.database.reading() as session:
        rows = (await (await session.connection()).execute(query)).all()
    page, following = page_of(rows, limit, lambda row: (row.received_at, row.id))
    return Page(data=[EventOut.of(row) for row in page], next_cursor=following)


class Replayed(BaseModel):
    replayed: int = Field(examples=[3])


class ReplayFilter(BaseModel):
    """Which events to apply again; each member that is given narrows it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"state": "dead"}})

    state: ReplayState
    type: Id | None = None
    object_id: Id | None = None


@router.post("/replay")
async def replay_events(chosen: ReplayFilter, service: Running, actor: Actor) -> Replayed:
    """Make all events of a state due now: dead ones, or ignored ones whose type a later version handles."""
    count = await replay(
        service.database,
        actor,
        at=int(service.clock()),
        states=[chosen.state],
        event_type=chosen.type,
        object_id=chosen.object_id,
    )
    service.worker.wake()
    return Replayed(replayed=count)


@router.post("/{event_id}/replay", responses=NOT_FOUND)
async def replay_event(event_id: str, service: Running, actor: Actor) -> EventOut:
    """Apply an event again, now; one that has been processed stays as it is."""
    event = await get_event(event_id, service)
    if await replay(service.database, actor, at=int(service.clock()), event_id=event.event_id):
        await service.worker.retry_due()
    return await get_event(event_id, service)


@router.get("/{event_id}", responses=NOT_FOUND)
async def get_event(event_id: str, service: Running) -> EventOut:
    """An event and what became of it."""
    if as_id(event_id):
        async with service.database.reading() as session:
            query = select(*COLUMNS).where(col(WebhookEvent.id) == event_id)
            if row := (await (await session.connection()).execute(query)).first():
                return EventOut.of(row)
    raise NotFound("No event with this id is known here.")
