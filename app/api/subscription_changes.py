"""`/internal/subscriptions/{subscription_id}/change`, `…/cancel`, `…/resume`: made at Stripe."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..billing import subscription_changes
from ..service import Running
from .auth import Actor, GuardedRoute
from .checkout_schemas import MAX_QUANTITY
from .responses import NOT_FOUND, OVER, STRIPE
from .schemas import Id, SubscriptionOut
from .subscriptions import stored_subscription

router = APIRouter(prefix="/subscriptions/{subscription_id}", route_class=GuardedRoute)

Confirm = Annotated[bool, Field(description="Do it, even if something would then be over its limit")]


class ChangeIn(BaseModel):
    """Another plan (its price of the same interval and currency) or price, another quantity."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"plan": "team", "quantity": 5}}
    )

    plan: Id | None = None
    price_id: Id | None = None
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] | None = None
    confirm: Confirm = False


class CancelIn(BaseModel):
    """When it is to end."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"at_period_end": True}}
    )

    at_period_end: bool = Field(default=True, description="false: now; nothing is paid back")
    confirm: Confirm = False


@router.post("/change", responses=NOT_FOUND | OVER | STRIPE)
async def change_subscription(
    subscription_id: str, wanted: ChangeIn, service: Running, actor: Actor
) -> SubscriptionOut:
    """Change plan, price or quantity at Stripe. 409 with `over` lists what would exceed its limit, with
    `choices` the prices of a plan that has none of the same interval and currency."""
    await subscription_changes.change_subscription(
        service, subscription_id, actor=actor, **wanted.model_dump()
    )
    return await stored_subscription(service, subscription_id)


@router.post("/cancel", responses=NOT_FOUND | OVER | STRIPE)
async def cancel_subscription(
    subscription_id: str, service: Running, actor: Actor, wanted: CancelIn | None = None
) -> SubscriptionOut:
    """End it with its period, or now. 409 with `over` lists what would exceed the limits that remain."""
    chosen = wanted or CancelIn()
    await subscription_changes.cancel_subscription(
        service, subscription_id, actor=actor, **chosen.model_dump()
    )
    return await stored_subscription(service, subscription_id)


@router.post("/resume", responses=NOT_FOUND | OVER | STRIPE)
async def resume_subscription(subscription_id: str, service: Running, actor: Actor) -> SubscriptionOut:
    """Take a planned end back, and a pause of collection."""
    await subscription_changes.resume_subscription(service, subscription_id, actor=actor)
    return await stored_subscription(service, subscription_id)
