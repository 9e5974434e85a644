"""What a user has, in the shape in which other services get it: by the internal API and by webhook."""

import hashlib
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field

from ..plans import Value
from .access import Act
from .explanation import explain
from .over_limit import over_limit
from .snapshot import Entitlements

Time = Annotated[int | None, Field(description="Unix seconds")]
OF_USAGE = frozenset({"used", "remaining", "resets_at", "over_since", "over_until"})
"""The members of a feature that usage and the calendar change."""
WHY = ("source", "id", "value", "counted", "subscription_id", "expires_at")
"""The members of a part of a limit that leave the service: an operator's own words and name do not."""


class FeatureOut(BaseModel):
    """What a user has of one feature. A limit of null is unlimited, 0 is none."""

    kind: str = Field(examples=["allocated"])
    value: Value = Field(examples=[10], description="The limit, the static value, or whether it is included")
    limit: int | None = Field(examples=[10])
    used: int = Field(examples=[4])
    remaining: int | None = Field(examples=[6])
    granted: int = Field(
        examples=[0], description="What of the limit comes from grants: left, or drawn in the period"
    )
    soft: bool
    resets_at: Time
    over_since: Time = Field(description="Since when more is used than the limit; null where it is not")
    over_until: Time = Field(description="Until when all of it may stay in use, by `[over_limit] days`")


class EntitlementsOut(BaseModel):
    """What a user has, and why."""

    user_id: str | None = Field(examples=["user_42"])
    plan: str | None = Field(examples=["team"])
    status: str | None = Field(examples=["active"])
    access: str = Field(examples=["full"])
    grace_ends_at: Time
    features: dict[str, FeatureOut]


class UserState(EntitlementsOut):
    """All that a user has, and why, as of one moment: the data of an outbound webhook."""

    version: int = Field(description="Grows by one with each message about the user")
    as_of: int = Field(description="Unix seconds")
    restorable_plan: str | None = Field(description="The plan that paying or resuming would bring back")
    act: Act | None = Field(description="What the user can do about a payment that is due or a pause")
    why: dict[str, list[dict[str, Any]]] = Field(description="What each limit is made of, by feature")


def entitlements_out(entitlements: Entitlements, user_id: str | None) -> EntitlementsOut:
    """What the user has, as it is shown."""
    return EntitlementsOut(
        user_id=user_id,
        plan=entitlements.plan,
        status=entitlements.status,
        access=entitlements.access,
        grace_ends_at=entitlements.grace_ends_at,
        features={key: _feature(entitlements, key) for key in entitlements.features},
    )


def user_state(entitlements: Entitlements, version: int) -> UserState:
    """All that the user has. `version` is the number of the message."""
    main = entitlements.subscription
    return UserState(
        **dict(entitlements_out(entitlements, entitlements.user_id)),
        version=version,
        as_of=entitlements.as_of,
        restorable_plan=entitlements.own_plan.plan if entitlements.own_plan else None,
        act=main.access.act if main else None,
        why={key: _why(entitlements, key) for key in entitlements.features},
    )


def digest(state: UserState) -> str:
    """The same for two states between which nothing changed but usage and the time."""
    told = state.model_dump(exclude={"version", "as_of"})
    for feature in told["features"].values():
        for name in OF_USAGE:
            del feature[name]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _why(entitlements: Entitlements, feature: str) -> list[dict[str, Any]]:
    return [{name: part[name] for name in WHY} for part in explain(entitlements, feature).parts]


def _feature(entitlements: Entitlements, key: str) -> FeatureOut:
    feature, decision = entitlements.feature(key), entitlements.look(key)
    over = over_limit(entitlements, key)
    return FeatureOut(
        kind=feature.kind,
        value=feature.value,
        limit=feature.limit,
        used=decision.used,
        remaining=decision.remaining,
        granted=feature.granted,
        soft=feature.soft,
        resets_at=decision.resets_at,
        over_since=over.since if over else None,
        over_until=over.until if over else None,
    )
