"""`/internal/portal-sessions`: the way into Stripe's billing portal."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..billing import portal
from ..service import Running
from .auth import GuardedRoute
from .responses import NOT_FOUND, STRIPE
from .schemas import Id

router = APIRouter(prefix="/portal-sessions", route_class=GuardedRoute)


class PortalIn(BaseModel):
    """Who is sent to the portal, and where they come back to."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {"user_id": "user_42", "return_url": "https://app.example.com/billing"}
        },
    )

    user_id: Id
    return_url: str = Field(description="On one of ALLOWED_RETURN_ORIGINS")


class PortalOut(BaseModel):
    session_id: str = Field(examples=["bps_XXX"])
    url: str = Field(examples=["https://billing.stripe.com/p/session/XXX"])
    customer_id: str = Field(examples=["cus_XXX"])


@router.post("", responses=NOT_FOUND | STRIPE)
async def create_portal_session(wanted: PortalIn, service: Running) -> PortalOut:
    """Open the portal: send the user to its `url`. Also for users whose subscription is unpaid or over."""
    session = await portal.create_portal_session(service, wanted.user_id, wanted.return_url)
    return PortalOut(session_id=session.id, url=session.url, customer_id=session.customer_id)
