"""`/internal/users/{user_id}/overrides`: what one user has apart from any plan."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..db.models import Override
from ..operations import overrides
from ..service import Running
from .auth import Actor, GuardedRoute
from .responses import NOT_FOUND
from .schemas import FEBRUARY, Id, Seconds, Time

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
                "expires_at": FEBRUARY,
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
    return Overrides(data=[_out(row) for row in await overrides.list_overrides(service, user_id)])


@router.put("/{feature}", responses=NOT_FOUND)
async def put_override(
    user_id: str, feature: str, override: OverrideIn, service: Running, actor: Actor
) -> OverrideOut:
    """Give the user an override of a feature, in place of the one before; it holds at once, everywhere."""
    draft = overrides.draft_override(
        service,
        user_id,
        feature,
        op=override.op,
        value=override.value,
        expires_at=override.expires_at,
        reason=override.reason,
        given_by=override.actor,
    )
    return _out(await overrides.set_override(service, draft, actor=actor))


@router.delete("/{feature}", status_code=204, responses=NOT_FOUND)
async def delete_override(user_id: str, feature: str, service: Running, actor: Actor) -> Response:
    """End the user's override of a feature."""
    await overrides.end_override(service, user_id, feature, actor=actor)
    return Response(status_code=204)


def _out(row: Override) -> OverrideOut:
    return OverrideOut(**{name: getattr(row, name) for name in OverrideOut.model_fields})
