"""`/internal/one-time-sessions`: credits and plans that are bought once."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..billing.one_time import OneTimeOrder, create_one_time_session, sync_one_time_session
from ..service import Running
from ..stripe.purchases import MAX_QUANTITY
from .auth import Actor, GuardedRoute
from .checkout_schemas import SyncIn
from .idempotency import HeaderKey, one_key
from .responses import NOT_FOUND, STRIPE, problem
from .schemas import JANUARY, Id, Time

router = APIRouter(prefix="/one-time-sessions", route_class=GuardedRoute)

Address = Annotated[str, Field(description="On one of ALLOWED_RETURN_ORIGINS")]
OWNED = problem(409, "Conflict", "The user has the plan lifetime for good already. Nothing was changed.")


class OneTimeIn(BaseModel):
    """What a user is to buy once: credits, or a plan with `once`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "user_id": "user_42",
                "credits": "top_up_1000",
                "quantity": 2,
                "success_url": "https://app.example.com/welcome?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "https://app.example.com/plans",
                "key": "order-8",
            }
        },
    )

    user_id: Id
    credits: Id | None = Field(default=None, description="A pack of `[credits]`")
    plan: Id | None = Field(default=None, description="A plan with `once`, in place of credits")
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] = 1
    success_url: Address
    cancel_url: Address
    email: Id | None = None
    key: Id | None = Field(
        default=None, description="The same request with it is the same session, for a day"
    )


class OneTimeOut(BaseModel):
    session_id: str = Field(examples=["cs_test_XXX"])
    url: str = Field(examples=["https://checkout.stripe.com/c/pay/cs_test_XXX"])
    customer_id: str = Field(examples=["cus_XXX"])
    expires_at: Time = Field(examples=[JANUARY])


@router.post("", responses=NOT_FOUND | OWNED | STRIPE)
async def create_one_time_checkout(
    wanted: OneTimeIn, service: Running, actor: Actor, header_key: HeaderKey
) -> OneTimeOut:
    """Open a checkout session of the mode `payment`: send the user to its `url`.

    What was bought is granted when the payment has succeeded: `GET /internal/users/{user_id}/grants`.
    """
    order = OneTimeOrder(**wanted.model_dump() | {"key": one_key(wanted.key, header_key)})
    session = await create_one_time_session(service, order, actor=actor)
    return OneTimeOut(
        session_id=session.id,
        url=session.url,
        customer_id=session.customer_id,
        expires_at=session.expires_at,
    )


class OneTimeSyncOut(BaseModel):
    """What became of a session. `applied`: it is paid, and what was bought is granted."""

    session_id: str = Field(examples=["cs_test_XXX"])
    status: str | None = Field(examples=["complete"])
    payment_status: str | None = Field(examples=["paid"])
    applied: bool
    user_id: str | None = Field(examples=["user_42"])


@router.post("/{session_id}/sync", responses=NOT_FOUND | STRIPE)
async def sync_one_time_checkout(
    session_id: str, service: Running, wanted: SyncIn | None = None
) -> OneTimeSyncOut:
    """Ask Stripe what became of a session, and grant what was bought at once, before its webhook comes."""
    done = await sync_one_time_session(service, session_id, user_id=wanted.user_id if wanted else None)
    return OneTimeSyncOut(
        session_id=done.id,
        status=done.status,
        payment_status=done.payment_status,
        applied=done.applied,
        user_id=done.user_id,
    )
