"""Overrides: what one user has of a feature apart from any plan; at most one for each feature."""

from typing import Any, cast

from sqlmodel import col, select

from ..db.audit import audit_entry
from ..db.models import Override
from ..errors import InvalidRequest, NotFound
from ..plans import OverrideOp, read_override
from ..service import Service
from ..stripe.objects import as_id


async def list_overrides(service: Service, user_id: str) -> list[Override]:
    """The user's overrides, expired ones included, in the order of their features."""
    if as_id(user_id) is None:
        return []
    query = select(Override).where(col(Override.user_id) == user_id).order_by(col(Override.feature))
    async with service.database.reading() as session:
        return list(await session.exec(query))


async def load_override(service: Service, user_id: str, feature: str) -> Override | None:
    """The user's override of a feature, expired or not; None when there is none."""
    if as_id(user_id) is None or as_id(feature) is None:
        return None
    async with service.database.reading() as session:
        return await session.get(Override, (user_id, feature))


def draft_override(
    service: Service,
    user_id: str,
    feature: str,
    *,
    op: str,
    value: Any,
    expires_at: int | None,
    reason: str,
    given_by: str,
) -> Override:
    """A valid override, not stored yet. `value` as in the plan catalogue; `expires_at` in Unix seconds.

    Raises:
        NotFound: the catalogue has no such feature, or this cannot be the id of a user.
        InvalidRequest: the feature cannot have this value, or not with this `op` (set, add, remove); the
            override would have ended already.
    """
    read_override(service.limits.catalogue.feature(feature), cast(OverrideOp, op), value)
    if as_id(user_id) is None:
        raise NotFound("This cannot be the id of a user.")
    _check_expiry(expires_at, int(service.clock()))
    return Override(
        user_id=user_id,
        feature=feature,
        op=op,
        value=value,
        expires_at=expires_at,
        reason=reason,
        actor=given_by,
        created_at=int(service.clock()),
    )


def _check_expiry(expires_at: int | None, now: int) -> None:
    """
    Raises:
        InvalidRequest: for an override that would end before it began.
    """
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest(
            f"expires_at: {expires_at} is past (now: {now}), so it would change nothing. Send a moment to "
            "come, or none; DELETE ends an override."
        )


async def set_override(service: Service, draft: Override, *, actor: str) -> Override:
    """Store an override in place of the user's earlier one; it holds at once, in every process."""
    async with service.database.session() as session:
        # First: a transaction that changes the same user waits here.
        await service.database.count_up(session, draft.user_id)
        earlier = await session.get(Override, (draft.user_id, draft.feature))
        before = _shown(earlier) if earlier else None
        row = await session.merge(draft)
        session.add(
            audit_entry(
                at=row.created_at,
                actor=actor,
                action="override.set",
                subject=row.user_id,
                before=before,
                after=_shown(row),
            )
        )
    service.limits.snapshots.forget(row.user_id)
    return row


async def end_override(service: Service, user_id: str, feature: str, *, actor: str) -> None:
    """Delete the user's override of a feature; the plan counts again at once, in every process.

    Raises:
        NotFound: when there is none.
    """
    ids = as_id(user_id) and as_id(feature)
    async with service.database.session() as session:
        if ids:
            await service.database.count_up(session, user_id)
        row = await session.get(Override, (user_id, feature)) if ids else None
        if row is None:
            raise NotFound("The user has no override of this feature. Nothing was changed.")
        session.add(
            audit_entry(
                at=int(service.clock()),
                actor=actor,
                action="override.ended",
                subject=user_id,
                before=_shown(row),
            )
        )
        await session.delete(row)
    service.limits.snapshots.forget(user_id)


def _shown(row: Override) -> dict[str, Any]:
    """An override as the audit trail has it."""
    return row.model_dump(exclude={"user_id", "created_at"})
