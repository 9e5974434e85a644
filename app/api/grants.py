"""`/internal/users/{user_id}/grants`: amounts and plans of one user's own."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from ..entitlements import Grant
from ..limits.granting import MAX_PRIORITY, GrantOrder
from ..operations import grants
from ..service import Running
from .auth import Actor, GuardedRoute
from .idempotency import HeaderKey, one_key
from .limits import usable_user
from .overrides import Reason
from .responses import NOT_FOUND, problem
from .schemas import FEBRUARY, Id, Seconds, Time

router = APIRouter(prefix="/users/{user_id}/grants", route_class=GuardedRoute)

USED_KEY = problem(409, "Conflict", "The key was used for another grant. Use a new key for another grant.")
ENDED = problem(409, "Conflict", "The grant ended at 1893456000. Nothing was changed.")


class GrantIn(BaseModel):
    """An amount of a feature, or a plan, for one user."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "feature": "api_calls",
                "amount": 500,
                "expires_at": FEBRUARY,
                "reason": "An outage",
                "actor": "ada@example.com",
                "key": "outage-7:user_42",
            }
        },
    )

    feature: Id | None = Field(default=None, description="A consumable or an allocated feature, by its key")
    amount: int | str | None = Field(default=None, description='As in the plan catalogue: 500, "10 GiB"')
    plan: Id | None = Field(default=None, description="In place of a feature and an amount")
    priority: Annotated[
        int,
        Field(
            ge=-MAX_PRIORITY,
            le=MAX_PRIORITY,
            description="Of a consumable's grants the one with the lowest number is drawn down first",
        ),
    ] = 0
    starts_at: Seconds | None = None
    expires_at: Seconds | None = None
    reason: Reason
    actor: Id
    key: Id | None = Field(default=None, description="The same grant with it is given once to a user")


class GrantOut(BaseModel):
    """A grant, and what was drawn from it."""

    id: str = Field(examples=["gr_XXX"])
    source: str = Field(examples=["operator"], description="`operator`, `code` or `purchase`")
    feature: str | None = Field(examples=["api_calls"])
    amount: int | None = Field(examples=[500], description="Less what was clawed back; null for a plan")
    plan: str | None = Field(examples=[None])
    offer: str | None = Field(examples=[None], description="What was bought, such as `credits.top_up_100`")
    priority: int = Field(examples=[0])
    starts_at: Time
    expires_at: Time = Field(description="When it ends, or was ended")
    in_force: bool
    drawn: int = Field(examples=[120], description="What was drawn from it ever")
    left: int | None = Field(examples=[380], description="What may still be drawn; null for a plan")
    clawed_back: int = Field(examples=[0], description="What was taken back for refunds and disputes")
    reason: str | None
    actor: str | None
    created_at: Time

    @classmethod
    def of(cls, grant: Grant) -> "GrantOut":
        return cls(
            id=grant.id,
            source=grant.source,
            feature=grant.feature,
            amount=None if grant.feature is None else grant.amount,
            plan=grant.plan,
            offer=grant.offer,
            priority=grant.priority,
            starts_at=grant.starts_at,
            expires_at=grant.expires_at,
            in_force=grant.in_force,
            drawn=grant.drawn.taken,
            left=None if grant.feature is None else grant.left,
            clawed_back=grant.clawed_back,
            reason=grant.reason,
            actor=grant.actor,
            created_at=grant.created_at,
        )


class Grants(BaseModel):
    data: list[GrantOut]
    next_cursor: None = None


@router.get("", responses=NOT_FOUND)
async def list_grants(user_id: str, service: Running) -> Grants:
    """The user's grants, the first to be drawn from in front; those that ended within 400 days included."""
    found = await grants.list_grants(service, usable_user(user_id))
    return Grants(data=[GrantOut.of(each) for each in found])


@router.post("", status_code=201, responses=NOT_FOUND | USED_KEY)
async def give_grant(
    user_id: str, grant: GrantIn, service: Running, actor: Actor, header_key: HeaderKey, response: Response
) -> GrantOut:
    """Give the user a grant; it holds at once, everywhere. 200 where it was given with this key before."""
    order = GrantOrder(
        user_id=usable_user(user_id),
        source="operator",
        key=one_key(grant.key, header_key),
        **grant.model_dump(exclude={"key"}),
    )
    given, is_new = await grants.give_grant(service, order, actor=actor)
    if not is_new:
        response.status_code = 200
    return GrantOut.of(given)


@router.delete("/{grant_id}", status_code=204, responses=NOT_FOUND | ENDED)
async def end_grant(user_id: str, grant_id: str, service: Running, actor: Actor) -> Response:
    """End a grant of an operator or of code now. What was drawn from it stays used."""
    await grants.end_grant(service, usable_user(user_id), grant_id, actor=actor)
    return Response(status_code=204)
