"""Reservations on behalf of another service: held, committed and released by id, with the audit trail."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from ..db.audit import audit_entry
from ..entitlements import Decision
from ..limits.reservations import Reservation
from ..service import Service


async def reserve(
    service: Service, user_id: str, feature: str, amount: int, ttl: int, *, actor: str, key: str | None = None
) -> Reservation:
    """Hold `amount` for at most `ttl` seconds. With a `key` it is held once, and answered alike.

    Raises:
        LimitExceeded, FeatureNotIncluded: with the decision; nothing is held.
        Conflict: the key was used for another amount or another time.
        InvalidRequest, NotFound: amount, `ttl` or key cannot be one; the feature is not metered, or not
            known.
    """
    async with service.database.session() as session:
        reservations = await service.limits.reservations(session, user_id, feature)
        reserved, is_new = await reservations.reserve(amount, ttl, key)
        if is_new:
            after = {"used": reserved.decision.used, "amount": amount, "ttl": ttl, "key": key}
            _audit(service, session, "reserve", user_id, feature, reserved.id, after, actor)
    return reserved


async def commit(
    service: Service, user_id: str, feature: str, id: str, actual: int, *, actor: str
) -> Decision:
    """Use `actual` in place of what is held, once. 0 releases all of it.

    Up to what is held it always succeeds; what is more, or comes too late, is an ordinary consume.

    Raises:
        LimitExceeded, FeatureNotIncluded: the reservation stays, until it is released or past its time.
        Conflict: it was committed with another amount, or released.
        InvalidRequest, NotFound: the amount cannot be one; no such feature or reservation is known.
    """
    async with service.database.session() as session:
        reservations = await service.limits.reservations(session, user_id, feature)
        decision, is_new = await reservations.commit(id, actual)
        if is_new:
            after = {"used": decision.used, "amount": actual}
            _audit(service, session, "commit", user_id, feature, id, after, actor)
    return decision


async def release(service: Service, user_id: str, feature: str, id: str, *, actor: str) -> Decision:
    """Release all that is held, once.

    Raises:
        Conflict: it was committed.
        InvalidRequest, NotFound: the feature is not metered; no such feature or reservation is known.
    """
    async with service.database.session() as session:
        reservations = await service.limits.reservations(session, user_id, feature)
        decision, is_new = await reservations.release(id)
        if is_new:
            after = {"used": decision.used}
            _audit(service, session, "release", user_id, feature, id, after, actor)
    return decision


def _audit(
    service: Service,
    session: AsyncSession,
    verb: str,
    user_id: str,
    feature: str,
    id: str,
    after: dict[str, Any],
    actor: str,
) -> None:
    of = {"feature": feature, "reservation": id}
    at, action = int(service.clock()), f"reservation.{verb}"
    session.add(audit_entry(at=at, actor=actor, action=action, subject=user_id, before=of, after=of | after))
