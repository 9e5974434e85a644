"""`/internal/portal-sessions`: the way into Stripe's billing portal."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..billing import portal
from ..billing.change_targets import Change
from ..billing.portal import DeepLink, Flow
from ..service import Running
from .auth import GuardedRoute
from .checkout_schemas import MAX_QUANTITY
from .responses import CONFLICT, NOT_FOUND, STRIPE
from .schemas import Id

router = APIRouter(prefix="/portal-sessions", route_class=GuardedRoute)


class PortalIn(BaseModel):
    """Who is sent to the portal, and where they come back to; with `flow`, for one task alone."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {"user_id": "user_42", "return_url": "https://app.example.com/billing"}
        },
    )

    user_id: Id
    return_url: str = Field(description="On one of ALLOWED_RETURN_ORIGINS")
    flow: Flow | None = Field(default=None, description="One task, on a page of its own")
    subscription_id: Id | None = Field(default=None, description="What the task is about; null: the main one")
    plan: Id | None = Field(default=None, description="For subscription_update_confirm, as the next three")
    price_id: Id | None = None
    interval: Id | None = Field(default=None, examples=["year"])
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None

    @model_validator(mode="after")
    def says_of_which_task(self) -> Self:
        if self.flow is None and (self.subscription_id is not None or self.change is not None):
            raise ValueError("flow is missing: say which task this is about")
        return self

    @property
    def change(self) -> Change | None:
        """What is to be confirmed."""
        wanted = Change(self.plan, self.price_id, self.interval, self.quantity)
        return None if wanted == Change() else wanted


class PortalOut(BaseModel):
    session_id: str = Field(examples=["bps_XXX"])
    url: str = Field(examples=["https://billing.stripe.com/p/session/XXX"])
    customer_id: str = Field(examples=["cus_XXX"])


@router.post("", responses=NOT_FOUND | CONFLICT | STRIPE)
async def create_portal_session(wanted: PortalIn, service: Running) -> PortalOut:
    """Open the portal: send the user to its `url`. Also for users whose subscription is unpaid or over.

    409 for a task that is about a subscription with a planned change: Stripe's portal cannot change it.
    """
    link = DeepLink(wanted.flow, wanted.subscription_id, wanted.change) if wanted.flow else None
    session = await portal.create_portal_session(service, wanted.user_id, wanted.return_url, link=link)
    return PortalOut(session_id=session.id, url=session.url, customer_id=session.customer_id)
