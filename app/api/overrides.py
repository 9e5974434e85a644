"""`/internal/users/{user_id}/overrides`: what one user has apart from any plan."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlmodel import col, select

from ..db.audit import audit_entry
from ..db.models import Override
from ..errors import NotFound
from ..plans import read_override
from ..service import Running, Service
from ..stripe.objects import as_id
from .auth import Actor, GuardedRoute
from .responses import NOT_FOUND
from .schemas import JANUARY, Id, Seconds, Time

router = APIRouter(prefix="/users/{user_id}/overrides", route_class=GuardedRoute)


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold the character NUL")  # PostgreSQL's text cannot
    return value


Reason = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_storable)]


class OverrideIn(BaseModel):
    """An exception for one user: `set` replaces the limit, `add` adds to it, `remove` takes from it."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "op": "add",
                "value": 5,
                "expires_at": JANUARY,
                "reason": "Promised by support",
                "actor": "ada@example.com",
            }
        },
    )

    op: Literal["set", "add", "remove"]
    value: int | float | bool | str | None = Field(
        default=None, description='As in the plan catalogue: 5, "10 GiB", "unlimited", true'
    )
    expires_at: Seconds | None = None
    reason: Reason
    actor: Id


class OverrideOut(BaseModel):
    feature: str = Field(examples=["projects"])
    op: str = Field(examples=["add"])
    value: Any = Field(examples=[5])
    expires_at: Time
    reason: str | None
    actor: str | None
    created_at: Time


class Overrides(BaseModel):
    data: list[OverrideOut]
    next_cursor: None = None


@router.get("")
async def list_overrides(user_id: str, service: Running) -> Overrides:
    """The user's overrides, one at most for each feature, those past their time included."""
    async with service.database.reading() as session:
        query = select(Override).where(col(Override.user_id) == user_id).order_by(col(Override.feature))
        rows = list(await session.exec(query)) if as_id(user_id) else []
    return Overrides(data=[_out(row) for row in rows])


@router.put("/{feature}", responses=NOT_FOUND)
async def put_override(
    user_id: str, feature: str, override: OverrideIn, service: Running, actor: Actor
) -> OverrideOut:
    """Give the user an override of a feature, in place of the one before; it holds at once, everywhere."""
    read_override(service.limits.catalogue.feature(feature), override.op, override.value)
    if as_id(user_id) is None:
        raise NotFound("This cannot be the id of a user.")
    row = Override(user_id=user_id, feature=feature, created_at=int(service.clock()), **override.model_dump())
    async with service.database.session() as session:
        # First: whoever changes the user, too, waits here.
        await service.database.count_up(session, user_id)
        known = await session.get(Override, (user_id, feature))
        before = _shown(known) if known else None
        row = await session.merge(row)
        session.add(
            audit_entry(
                at=row.created_at,
                actor=actor,
                action="override.set",
                subject=user_id,
                before=before,
                after=_shown(row),
            )
        )
    service.limits.snapshots.forget(user_id)
    return _out(row)


@router.delete("/{feature}", status_code=204, responses=NOT_FOUND)
async def delete_override(user_id: str, feature: str, service: Running, actor: Actor) -> Response:
    """End the user's override of a feature."""
    await _delete(service, user_id, feature, actor)
    service.limits.snapshots.forget(user_id)
    return Response(status_code=204)


async def _delete(service: Service, user_id: str, feature: str, actor: str) -> None:
    ids = as_id(user_id) and as_id(feature)
    async with service.database.session() as session:
        if ids:
            await service.database.count_up(session, user_id)
        row = await session.get(Override, (user_id, feature)) if ids else None
        if row is None:
            raise NotFound("The user has no override of this feature.")
        await session.delete(row)
        session.add(
            audit_entry(
                at=int(service.clock()),
                actor=actor,
                action="override.ended",
                subject=user_id,
                before=_shown(row),
            )
        )


def _shown(row: Override) -> dict[str, Any]:
    return row.model_dump(exclude={"user_id", "created_at"})


def _out(row: Override) -> OverrideOut:
    return OverrideOut(**{name: getattr(row, name) for name in OverrideOut.model_fields})
