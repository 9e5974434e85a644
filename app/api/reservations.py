"""`/internal/users/{user_id}/usage/{feature}/reservations`: usage that is held while long work runs."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..limits.holds import MAX_TTL_SECONDS
from ..limits.reservations import Reservation
from ..operations import reservations
from ..service import Running
from .auth import Actor, GuardedRoute
from .idempotency import HeaderKey, one_key
from .limits import Amount, DecisionOut, usable_user
from .responses import CONFLICT, DENIED, NOT_FOUND
from .schemas import JANUARY, Id, Time
from .usage import Positive

router = APIRouter(prefix="/users/{user_id}/usage/{feature}/reservations", route_class=GuardedRoute)


class ReservationIn(BaseModel):
    """What to hold, and for how long at most."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"example": {"amount": 1024, "ttl": 60, "key": "upload-7"}},
    )

    amount: Positive = 1
    ttl: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS)] = Field(
        default=60, description="Seconds until the hold counts no longer, 30 days at most"
    )
    key: Id | None = Field(default=None, description="The same reservation with it is made once")


class CommitIn(BaseModel):
    """What was really used."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": {"amount": 1}})

    amount: Amount = Field(description="0 releases all that is held")


class ReservationOut(BaseModel):
    """A reservation: `id` names it when it is committed or released."""

    id: str = Field(examples=["0123456789abcdef0123456789abcdef"])
    feature: str = Field(examples=["storage_bytes"])
    amount: int = Field(examples=[1024])
    expires_at: Time = Field(examples=[JANUARY])
    decision: DecisionOut

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationOut":
        return cls(
            id=reservation.id,
            feature=reservation.feature,
            amount=reservation.amount,
            expires_at=reservation.expires_at,
            decision=DecisionOut.of(reservation.decision),
        )


@router.post("", status_code=201, responses=NOT_FOUND | DENIED)
async def reserve_usage(
    user_id: str, feature: str, wanted: ReservationIn, service: Running, actor: Actor, header_key: HeaderKey
) -> ReservationOut:
    """Hold an amount. It counts as used until it is committed, released or past its time.

    With a `key`, or the header `Idempotency-Key`, the same request may be sent again: it is held once.
    """
    key = one_key(wanted.key, header_key)
    return ReservationOut.of(
        await reservations.reserve(
            service, usable_user(user_id), feature, wanted.amount, wanted.ttl, actor=actor, key=key
        )
    )


@router.post("/{reservation_id}/commit", responses=NOT_FOUND | DENIED)
async def commit_reservation(
    user_id: str, feature: str, reservation_id: str, actual: CommitIn, service: Running, actor: Actor
) -> DecisionOut:
    """Use the amount that the work really took, in place of what is held. Sent again, it is done once.

    Up to what is held it always succeeds. More, or too late, is an ordinary `consume`: it may be denied, and
    the hold then stays as it is. 409 for another amount, or after a release.
    """
    return DecisionOut.of(
        await reservations.commit(
            service, usable_user(user_id), feature, reservation_id, actual.amount, actor=actor
        )
    )


@router.delete("/{reservation_id}", responses=NOT_FOUND | CONFLICT)
async def release_reservation(
    user_id: str, feature: str, reservation_id: str, service: Running, actor: Actor
) -> DecisionOut:
    """Release all that is held. Sent again, it is done once. 409 when it was committed."""
    return DecisionOut.of(
        await reservations.release(service, usable_user(user_id), feature, reservation_id, actor=actor)
    )
