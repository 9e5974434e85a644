"""`GET /internal/users/{user_id}/usage`: what was used in the periods that are over."""

from typing import cast

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ..errors import NotFound
from ..limits.history import ClosedPeriod, Place
from ..service import Running
from ..stripe.objects import as_id
from .auth import GuardedRoute
from .pagination import Cursor, Limit, decode_cursor, page_of
from .responses import NOT_FOUND
from .schemas import Id, Time

router = APIRouter(route_class=GuardedRoute)


class ClosedPeriodOut(BaseModel):
    """What was used of a consumable in a period that is over."""

    feature: str = Field(examples=["api_calls"])
    period_start: Time
    period_end: Time
    used: int = Field(examples=[150])
    limit: int | None = Field(
        examples=[100], description="The limit when usage last changed; null: unlimited or not known"
    )
    over: int = Field(examples=[50], description="How much more was used than the limit")

    @classmethod
    def of(cls, period: ClosedPeriod) -> "ClosedPeriodOut":
        return cls(
            feature=period.feature,
            period_start=period.period_start,
            period_end=period.period_end,
            used=period.used,
            limit=period.included,
            over=period.over,
        )


class UsageHistory(BaseModel):
    data: list[ClosedPeriodOut]
    next_cursor: str | None


@router.get("/users/{user_id}/usage", responses=NOT_FOUND)
async def get_usage_history(
    user_id: str, service: Running, feature: Id | None = None, limit: Limit = 50, cursor: Cursor = None
) -> UsageHistory:
    """The closed periods of the user's consumables, the newest first; those with usage in them.

    They are kept for USAGE_RETENTION_DAYS after their end.
    """
    if as_id(user_id) is None:
        raise NotFound("This cannot be the id of a user.")
    before = None if cursor is None else cast(Place, tuple(decode_cursor(cursor, int, str)))
    found = await service.limits.history(user_id, feature, before=before, count=limit + 1)
    page, following = page_of(found, limit, lambda each: (each.period_start, each.feature))
    return UsageHistory(data=[ClosedPeriodOut.of(each) for each in page], next_cursor=following)
