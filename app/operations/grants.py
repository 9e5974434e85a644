"""Grants: amounts and plans of a user's own, given by an operator, by code, or bought once."""

from typing import Any

from ..db.audit import audit_entry
from ..entitlements import Grant
from ..errors import NotFound
from ..limits.granting import GrantOrder
from ..service import Service
from ..stripe.objects import as_id

__all__ = ["GrantOrder", "end_grant", "give_grant", "list_grants"]


async def list_grants(service: Service, user_id: str) -> list[Grant]:
    """The user's grants, with what was drawn from them, the first to be drawn from in front.

    Those to come are included, and those that ended within the last 400 days.
    """
    if as_id(user_id) is None:
        return []
    async with service.database.reading() as session:
        return list((await service.limits.load(user_id, session)).grants)


async def give_grant(service: Service, order: GrantOrder, *, actor: str) -> tuple[Grant, bool]:
    """Give a grant, with its entry in the audit trail; whether it is new. It holds at once, in every process.

    Raises:
        Conflict: the key was used for another grant.
        InvalidRequest, NotFound: amount, time, priority, user, feature or plan cannot be one.
    """
    async with service.database.session() as session:
        given, is_new = await service.limits.grant(session, order)
        if is_new:
            session.add(
                audit_entry(
                    at=int(service.clock()),
                    actor=actor,
                    action="grant.given",
                    subject=order.user_id,
                    after=_shown(given),
                )
            )
    return given, is_new


async def end_grant(service: Service, user_id: str, grant_id: str, *, actor: str) -> Grant:
    """End a grant now, with its entry in the audit trail. What was drawn from it stays used.

    Raises:
        NotFound: the user has no such grant of an operator or of code.
        Conflict: it has ended.
    """
    if as_id(user_id) is None or as_id(grant_id) is None:
        raise NotFound("The user has no such grant. Nothing was changed.")
    async with service.database.session() as session:
        entitlements = await service.limits.load(user_id, session)
        drawn = {each.id: each.drawn.taken for each in entitlements.grants}
        ended = await service.limits.end_grant(session, user_id, grant_id)
        session.add(
            audit_entry(
                at=int(service.clock()),
                actor=actor,
                action="grant.ended",
                subject=user_id,
                before=_shown(ended) | {"drawn": drawn.get(grant_id, 0)},
            )
        )
    return ended


def _shown(grant: Grant) -> dict[str, Any]:
    """A grant as the audit trail has it."""
    return {
        "id": grant.id,
        "feature": grant.feature,
        "amount": grant.amount if grant.feature is not None else None,
        "plan": grant.plan,
        "priority": grant.priority,
        "starts_at": grant.starts_at,
        "expires_at": grant.expires_at,
        "source": grant.source,
        "reason": grant.reason,
        "actor": grant.actor,
    }
