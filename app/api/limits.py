"""What users have, for other services: `/internal/users/{user_id}/entitlements` and `…/preview`."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Subscription
from ..entitlements import Act, Decision
from ..entitlements.state import EntitlementsOut, entitlements_out
from ..errors import NotFound
from ..plans import MAX_AMOUNT
from ..service import Running, Service
from ..stripe.objects import as_id
from .auth import GuardedRoute
from .responses import NOT_FOUND
from .schemas import Id, Time

router = APIRouter(route_class=GuardedRoute)

Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]


class DecisionMembers(BaseModel):
    """What a decision and a denial say."""

    allowed: bool
    reason: str = Field(examples=["ok"])
    feature: str = Field(examples=["projects"])
    limit: int | None = Field(examples=[10])
    used: int = Field(examples=[4])
    remaining: int | None = Field(examples=[6])
    requested: int = Field(examples=[1])
    resets_at: Time
    plan: str | None = Field(examples=["team"])
    grace_ends_at: Time
    upgrade_to: list[str]
    as_of: Time
    act: Act | None = Field(description="On denial, what the user can do about the payment or the pause")
    pay_url: str | None = Field(description="Stripe's page for the open invoice, where the act is to pay it")


class DecisionOut(DecisionMembers):
    """The answer to one question about one feature."""

    status: str | None = Field(description="Stripe's status of the subscription", examples=["active"])

    @classmethod
    def of(cls, decision: Decision) -> "DecisionOut":
        return cls(**decision._asdict())


class PlanChange(BaseModel):
    """A change of plan to look at before it is made: to a plan, or to a price of one."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": {"plan": "free"}})

    plan: Id | None = None
    price_id: Id | None = None
    quantity: Amount | None = None


class PreviewOut(BaseModel):
    limit_now: int | None = Field(examples=[10])
    limit_then: int | None = Field(examples=[3])
    used: int = Field(examples=[4])
    over: int = Field(examples=[1])


@router.get("/users/{user_id}/entitlements", responses=NOT_FOUND)
async def get_entitlements(user_id: str, service: Running) -> EntitlementsOut:
    """What the user has; an unknown user has the default plan."""
    return entitlements_out(await service.limits.load(usable_user(user_id)), user_id)


@router.get("/customers/{customer_id}/entitlements", responses=NOT_FOUND)
async def get_customer_entitlements(customer_id: str, service: Running) -> EntitlementsOut:
    """What the customer's user has. A customer without a user has the default plan until it is linked."""
    user_id = await _user_of(service, customer_id)
    entitlements = await service.limits.load(user_id) if user_id else service.limits.default_entitlements()
    return entitlements_out(entitlements, user_id)


@router.post("/users/{user_id}/preview", responses=NOT_FOUND)
async def preview_plan(user_id: str, change: PlanChange, service: Running) -> dict[str, PreviewOut]:
    """Each feature's limit now and after a change of plan, and by how much the usage would be over."""
    previews = await service.limits.preview(
        usable_user(user_id), plan=change.plan, price_id=change.price_id, quantity=change.quantity
    )
    return {
        key: PreviewOut(limit_now=each.limit_now, limit_then=each.limit_then, used=each.used, over=each.over)
        for key, each in previews.items()
    }


async def _user_of(service: Service, customer_id: str) -> str | None:
    if as_id(customer_id):
        async with service.database.reading() as session:
            if customer := await session.get(Customer, customer_id):
                return customer.user_id or await _only_user(session, customer_id)
    raise NotFound("No customer with this id is known here.")


async def _only_user(session: AsyncSession, customer_id: str) -> str | None:
    """The user of a customer that is linked to nobody, where its subscriptions are all of one."""
    query = select(Subscription.user_id).where(col(Subscription.customer_id) == customer_id).distinct()
    users = list(await session.exec(query))
    return users[0] if len(users) == 1 else None


def usable_user(user_id: str) -> str:
    """
    Raises:
        NotFound: when the address names what cannot be the id of a user.
    """
    if as_id(user_id) is None:
        raise NotFound("This cannot be the id of a user.")
    return user_id
