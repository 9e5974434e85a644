"""`/internal/webhooks-out`: the destinations of outbound webhooks."""

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..operations.webhooks_out import read_destinations, resend_states
from ..service import Running
from .auth import Actor, GuardedRoute
from .responses import NOT_FOUND
from .schemas import Id, Time

router = APIRouter(prefix="/webhooks-out", route_class=GuardedRoute)


class DestinationOut(BaseModel):
    """An address of WEBHOOK_OUT_URLS, and what it has not taken."""

    receiver: str = Field(examples=["webhook:api.example.com:1a2b3c4d"], description="Its name in the outbox")
    origin: str = Field(examples=["https://api.example.com"], description="The address without its path")
    secrets: int = Field(examples=[1], description="How many sign: two while one is rotated")
    pending: int
    dead: int
    failing_since: Time
    last_error: str | None


class Resend(BaseModel):
    """Whose state to send; nobody's name means every user's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"user_id": "user_42"}})

    user_id: Id | None = None


class Resent(BaseModel):
    users: int = Field(examples=[1], description="Whose state is sent by the running service")


@router.get("")
async def list_webhooks_out(service: Running) -> list[DestinationOut]:
    """The destinations, in the order of WEBHOOK_OUT_URLS."""
    return [DestinationOut(**asdict(each)) for each in await read_destinations(service)]


@router.post("/resend", responses=NOT_FOUND)
async def resend_webhooks_out(chosen: Resend, service: Running, actor: Actor) -> Resent:
    """Send the state of a user, or of every user, to every destination, though it has not changed."""
    return Resent(users=await resend_states(service, chosen.user_id, actor=actor))
