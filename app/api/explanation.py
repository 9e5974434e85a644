"""What users had at a moment, for other services: `/internal/users/{user_id}/explanation`."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ..operations.past_limits import limits_at
from ..plans import Value
from ..service import Running
from ..stripe.objects import MAX_SECONDS
from .auth import GuardedRoute
from .limits import usable_user
from .responses import NOT_FOUND
from .schemas import Time

router = APIRouter(route_class=GuardedRoute)

At = Annotated[
    int | None,
    Query(ge=0, le=MAX_SECONDS, description="A moment that is past, in Unix seconds; without it, now"),
]
Feature = Annotated[str | None, Query(max_length=255, description="One feature; all if left out")]


class CatalogueOut(BaseModel):
    """The plan catalogue that was in force."""

    hash: str = Field(description="The SHA-256 of the plans file, in hexadecimal")
    since: int = Field(description="Unix seconds")


class EventThen(BaseModel):
    """An event about the user."""

    id: str
    type: str
    object_id: str | None
    received_at: int
    first_processed_at: Time


class PartOut(BaseModel):
    """One thing that a limit was made of, or could have been."""

    source: str = Field(description="plan, default_plan, addon, override or grant", examples=["plan"])
    id: str = Field(examples=["team"])
    value: Value = Field(examples=[10])
    counted: bool
    price_id: str | None
    units: int
    trial: bool
    subscription_id: str | None
    status: str | None
    access: str | None
    expires_at: Time
    reason: str | None
    actor: str | None
    grant_id: str | None


class ExplanationOut(BaseModel):
    """A limit, and the parts that it is made of."""

    feature: str = Field(examples=["projects"])
    kind: str = Field(examples=["allocated"])
    value: Value = Field(examples=[10])
    limit: int | None = Field(description="null is unlimited, 0 is none", examples=[10])
    parts: list[PartOut]
    lines: list[str] = Field(description="The same in words")


class PastLimitsOut(BaseModel):
    """What a user had at a moment, and why."""

    model_config = ConfigDict(extra="ignore")

    user_id: str
    at: int
    known_since: int = Field(description="Since when it is known what users had, in Unix seconds")
    plan: str | None
    status: str | None
    access: str
    grace_ends_at: Time
    catalogue: CatalogueOut
    notes: list[str] = Field(description="What the answer leaves out")
    features: list[ExplanationOut]
    last_events: list[EventThen] = Field(description="Those that had been processed last by then")
    waiting_events: list[EventThen] = Field(
        description="Those that had been received by then, and were processed later or never"
    )


@router.get("/users/{user_id}/explanation", responses=NOT_FOUND)
async def explain_limits(
    user_id: str, service: Running, at: At = None, feature: Feature = None
) -> PastLimitsOut:
    """What made the user's limits what they are, or (with `at`) what they were at a moment.

    The answer is computed from what had been processed by then, with the plan catalogue of then. A moment of
    which too little is stored is answered with 404 and `known_since`.
    """
    await service.catalogues.store()
    past = await limits_at(service, usable_user(user_id), int(service.clock()) if at is None else at)
    return PastLimitsOut.model_validate(past.as_json(feature))
