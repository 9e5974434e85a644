"""`/internal/checkout-sessions`: buying, and coming back from it."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..billing import checkout
from ..billing.checkout import Order
from ..entitlements.state import EntitlementsOut, entitlements_out
from ..service import Running, Service
from . import queries
from .auth import Actor, GuardedRoute
from .idempotency import HeaderKey, one_key
from .responses import NOT_FOUND, STRIPE, SUBSCRIBED
from .schemas import JANUARY, Id, SubscriptionOut, Time

router = APIRouter(prefix="/checkout-sessions", route_class=GuardedRoute)

Address = Annotated[str, Field(description="On one of ALLOWED_RETURN_ORIGINS")]
MAX_QUANTITY = 999_999
MAX_TRIAL_DAYS = 730
"""Stripe's own bounds."""


class CheckoutIn(BaseModel):
    """What a user is to buy. Stripe puts the session's id in the place of `{CHECKOUT_SESSION_ID}`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "user_id": "user_42",
                "plan": "team",
                "quantity": 3,
                "success_url": "https://app.example.com/welcome?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "https://app.example.com/plans",
                "key": "order-7",
            }
        },
    )

    user_id: Id
    plan: Id | None = Field(default=None, description="Its first price is sold")
    price_id: Id | None = None
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = Field(
        default=1, description="null for a metered price"
    )
    success_url: Address
    cancel_url: Address
    trial_days: Annotated[int, Field(ge=1, le=MAX_TRIAL_DAYS)] | None = None
    email: Id | None = None
    key: Id | None = Field(
        default=None, description="The same request with it is the same session, for a day"
    )
    allow_second: bool = Field(default=False, description="Also for a user who subscribes already")

    @model_validator(mode="after")
    def sells_one_thing(self) -> Self:
        if (self.plan is None) == (self.price_id is None):
            raise ValueError("give either a plan or a price_id")
        return self


class CheckoutOut(BaseModel):
    session_id: str = Field(examples=["cs_test_XXX"])
    url: str = Field(examples=["https://checkout.stripe.com/c/pay/cs_test_XXX"])
    customer_id: str = Field(examples=["cus_XXX"])
    expires_at: Time = Field(examples=[JANUARY])


class SyncIn(BaseModel):
    """Whose session it must be: a session of somebody else is then not found."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"user_id": "user_42"}}
    )

    user_id: Id | None = None


class SyncOut(BaseModel):
    """What became of a session. `applied`: it is paid, and what was bought holds."""

    session_id: str = Field(examples=["cs_test_XXX"])
    status: str | None = Field(examples=["complete"])
    payment_status: str | None = Field(examples=["paid"])
    applied: bool
    user_id: str | None = Field(examples=["user_42"])
    subscription: SubscriptionOut | None
    entitlements: EntitlementsOut | None = Field(description="null while no user is linked")


@router.post("", responses=NOT_FOUND | SUBSCRIBED | STRIPE)
async def create_checkout_session(
    wanted: CheckoutIn, service: Running, actor: Actor, header_key: HeaderKey
) -> CheckoutOut:
    """Open a checkout session: send the user to its `url`.

    409 for a user who subscribes already, with `portal_url`.
    """
    order = Order(**wanted.model_dump() | {"key": one_key(wanted.key, header_key)})
    session = await checkout.create_checkout_session(service, order, actor=actor)
    return CheckoutOut(
        session_id=session.id,
        url=session.url,
        customer_id=session.customer_id,
        expires_at=session.expires_at,
    )


@router.post("/{session_id}/sync", responses=NOT_FOUND | STRIPE)
async def sync_checkout_session(session_id: str, service: Running, wanted: SyncIn | None = None) -> SyncOut:
    """Ask Stripe what became of a session, and apply it at once, before its webhook comes."""
    expected = wanted.user_id if wanted else None
    done = await checkout.sync_checkout_session(service, session_id, user_id=expected)
    user_id = done.user_id
    entitlements = entitlements_out(await service.limits.load(user_id), user_id) if user_id else None
    return SyncOut(
        session_id=done.id,
        status=done.status,
        payment_status=done.payment_status,
        applied=done.applied,
        user_id=user_id,
        subscription=await _stored(service, done.subscription_id),
        entitlements=entitlements,
    )


async def _stored(service: Service, subscription_id: str | None) -> SubscriptionOut | None:
    if subscription_id is None:
        return None
    async with service.database.reading() as session:
        return await queries.subscription(session, service, subscription_id)
