"""`/internal/users/{user_id}/seats`: the quantity of a subscription follows the number of members."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..billing import seats
from ..service import Running
from .auth import Actor, GuardedRoute
from .checkout_schemas import MAX_QUANTITY
from .responses import NOT_FOUND, STRIPE
from .schemas import JANUARY, Time

router = APIRouter(prefix="/users/{user_id}/seats", route_class=GuardedRoute)


class SeatsIn(BaseModel):
    """How many members there are now."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": {"members": 7}})

    members: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]


class SeatsOut(BaseModel):
    """What was asked for, and what the subscription has."""

    user_id: str = Field(examples=["org_7"])
    members: int = Field(examples=[7])
    pending: bool = Field(description="The change is still to be made at Stripe")
    requested_at: Time = Field(examples=[JANUARY])
    due_at: Time = Field(description="When it is made, or tried again; null: nothing is pending")
    done_at: Time
    subscription_id: str | None = Field(description="null where no subscription is sold per seat")
    quantity: int | None = Field(examples=[7], description="What was last set at Stripe")
    attempts: int = Field(description="Failed attempts of the pending change")
    last_error: str | None


@router.post("", responses=STRIPE)
async def sync_seats(user_id: str, wanted: SeatsIn, service: Running, actor: Actor) -> SeatsOut:
    """Have the user's subscription pay for so many members. Several calls within seconds make one change."""
    state = await seats.sync_seats(service, user_id, wanted.members, actor=actor)
    return SeatsOut(**{name: getattr(state, name) for name in SeatsOut.model_fields})


@router.get("", responses=NOT_FOUND)
async def get_seats(user_id: str, service: Running) -> SeatsOut:
    """What was last asked for, and whether it is done."""
    state = await seats.read_seats(service, user_id)
    return SeatsOut(**{name: getattr(state, name) for name in SeatsOut.model_fields})
