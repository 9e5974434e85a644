"""Usage for other services: `/internal/users/{user_id}/usage` and `…/usage/{feature}`."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..errors import InvalidRequest
from ..operations import usage
from ..plans import MAX_AMOUNT
from ..service import Running
from .auth import Actor, GuardedRoute
from .idempotency import HeaderKey, one_key
from .limits import Amount, DecisionOut, usable_user
from .responses import DENIED, NOT_FOUND
from .schemas import Id, Seconds

router = APIRouter(prefix="/users/{user_id}/usage", route_class=GuardedRoute)

MAX_FEATURES = 100
Positive = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]


class UsageChange(BaseModel):
    """Consume, release, set or check."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"example": {"op": "consume", "amount": 1, "key": "request-7"}},
    )

    op: Literal["consume", "release", "set", "check"]
    amount: Amount = 1
    key: Id | None = Field(default=None, description="The same change with it is made once in 7 days")
    at: Seconds | None = Field(
        default=None, description="For `release`: when it was taken; that moment's period is lowered"
    )


class UsageChanges(BaseModel):
    """Several features at once: consume all or none of them, or check each."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "op": "consume",
                "amounts": {"projects": 1, "storage_bytes": 1024},
                "key": "request-7",
            }
        },
    )

    op: Literal["consume", "check"]
    amounts: dict[Id, Positive] = Field(
        min_length=1, max_length=MAX_FEATURES, description="The amount of each feature, by its key"
    )
    key: Id | None = Field(default=None, description="The same change with it is made once in 7 days")


class Decisions(BaseModel):
    """The decision on each feature that was asked for, by its key."""

    allowed: bool = Field(description="Whether every one of them is allowed")
    decisions: dict[str, DecisionOut]


@router.post("/{feature}", responses=NOT_FOUND | DENIED)
async def change_usage(
    user_id: str, feature: str, change: UsageChange, service: Running, actor: Actor, header_key: HeaderKey
) -> DecisionOut:
    """Use (`consume`), release (`release`), set (`set`) or check (`check`) usage of a feature.

    With a `key`, or the header `Idempotency-Key`, the same request may be sent again: it is done once, and
    answered alike for 7 days.
    """
    user_id, key = usable_user(user_id), one_key(change.key, header_key)
    if change.op == "check":
        service.limits.catalogue.feature(feature)
        if change.amount == 0:
            raise InvalidRequest("amount: must be positive; 0 is only for `set`.")
        if change.at is not None:
            raise InvalidRequest("at: is only for `release`.")
        return DecisionOut.of((await service.limits.load(user_id)).check(feature, None, change.amount))
    return DecisionOut.of(
        await usage.change_usage(
            service, user_id, feature, change.op, change.amount, actor=actor, key=key, at=change.at
        )
    )


@router.post("", responses=NOT_FOUND | DENIED)
async def change_several_usages(
    user_id: str, change: UsageChanges, service: Running, actor: Actor, header_key: HeaderKey
) -> Decisions:
    """Use several features (`consume`), all or none, or check each of them (`check`).

    A denied `consume` is the denial of the first feature that does not fit, and uses nothing. A `check`
    answers with the decision on each. `key` and `Idempotency-Key` are as for one feature.
    """
    user_id, key = usable_user(user_id), one_key(change.key, header_key)
    if change.op == "consume":
        decisions = await usage.consume_many(service, user_id, change.amounts, actor=actor, key=key)
    else:
        for feature in change.amounts:
            service.limits.catalogue.feature(feature)
        entitlements = await service.limits.load(user_id)
        decisions = {
            feature: entitlements.check(feature, None, amount) for feature, amount in change.amounts.items()
        }
    return Decisions(
        allowed=all(each.allowed for each in decisions.values()),
        decisions={feature: DecisionOut.of(each) for feature, each in decisions.items()},
    )
