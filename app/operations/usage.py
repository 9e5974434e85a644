"""Usage: what a user has used of a feature, and changes to it on behalf of an operator or another service."""

from collections.abc import Mapping
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from ..db.audit import audit_entry
from ..entitlements import Decision
from ..errors import InvalidRequest
from ..service import Service

Op = Literal["consume", "release", "set"]


async def read_usage(service: Service, user_id: str, feature: str) -> int:
    """What the user has used in the open period, live reservations included, as the database has it now.

    Raises:
        NotFound: when the catalogue has no such feature.
    """
    async with service.database.reading() as session:
        connection = await session.connection()
        entry = await service.limits.snapshots.read(connection, user_id)
    return entry.entitlements.look(feature).used


async def change_usage(
    service: Service,
    user_id: str,
    feature: str,
    op: Op,
    amount: int,
    *,
    actor: str,
    key: str | None = None,
    at: int | None = None,
) -> Decision:
    """Use (`consume`), release (`release`) or correct (`set`) usage, with its entry in the audit trail.

    `set` says what is used without the live reservations, which count on top. With a `key` the same change is
    made once, and answered alike for 7 days. `at`: of `release`, when it was taken, in Unix seconds.

    Raises:
        LimitExceeded, FeatureNotIncluded: of `consume`, with the decision; nothing was changed.
        Conflict: the key was used for another amount.
        InvalidRequest, NotFound: amount, key or time cannot be one; the feature is not metered, or not known.
    """
    limits = service.limits
    limits.catalogue.feature(feature)
    if op != "set" and amount == 0:
        raise InvalidRequest("amount: must be positive; 0 is only for `set`.")
    if at is not None and op != "release":
        raise InvalidRequest("at: is only for `release`.")
    async with service.database.session() as session:
        if op == "consume":
            decision, is_new = await limits.consume_once(session, user_id, feature, amount, key=key)
            before = decision.used - amount
        else:
            before = await limits.used(session, user_id, feature)
            is_new = not await limits.is_answered(session, op, user_id, feature, key)
            if op == "release":
                decision = await limits.release(session, user_id, feature, amount, key=key, at=at)
            else:
                decision = await limits.set_usage(session, user_id, feature, amount, key=key)
        if is_new:
            asked = {"amount": amount, "key": key} | ({} if at is None else {"at": at})
            _audit(service, session, op, user_id, before, decision, asked, actor)
    return decision


async def consume_many(
    service: Service, user_id: str, amounts: Mapping[str, int], *, actor: str, key: str | None = None
) -> dict[str, Decision]:
    """Use several features, all or none, with an entry in the audit trail for each.

    With a `key` the same change is made once, and answered alike for 7 days.

    Raises:
        LimitExceeded, FeatureNotIncluded: of the first that is denied, with its decision; nothing was used.
        Conflict: the key was used for another amount, or for other features.
        InvalidRequest, NotFound: amount or key cannot be one; a feature is not metered, or not known.
    """
    limits = service.limits
    for feature in amounts:
        limits.catalogue.feature(feature)
    async with service.database.session() as session:
        decisions, is_new = await limits.consume_many_once(session, user_id, amounts, key=key)
        for feature, decision in decisions.items() if is_new else ():
            before, asked = decision.used - amounts[feature], {"amount": amounts[feature], "key": key}
            _audit(service, session, "consume", user_id, before, decision, asked, actor)
    return decisions


def _audit(
    service: Service,
    session: AsyncSession,
    op: Op,
    user_id: str,
    used_before: int,
    decision: Decision,
    asked: dict[str, int | str | None],
    actor: str,
) -> None:
    before, after = {"used": used_before}, {"used": decision.used} | asked
    of = {"feature": decision.feature}
    session.add(
        audit_entry(
            at=int(service.clock()),
            actor=actor,
            action=f"usage.{op}",
            subject=user_id,
            before=of | before,
            after=of | after,
        )
    )
