"""`limits.grant` and `limits.end_grant`, in both kinds of session."""

from collections.abc import Coroutine
from typing import Any, overload

from sqlalchemy.ext.asyncio import AsyncSession

from ..entitlements import Grant
from .current import current
from .granting import GrantOrder
from .sessions import SyncSession, answer
from .users import User, user_key


@overload
def grant(
    session: SyncSession,
    user_id: User,
    feature: str | None = None,
    amount: int | str | None = None,
    *,
    plan: str | None = None,
    priority: int = 0,
    starts_at: int | None = None,
    expires_at: int | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> Grant: ...
@overload
def grant(
    session: AsyncSession,
    user_id: User,
    feature: str | None = None,
    amount: int | str | None = None,
    *,
    plan: str | None = None,
    priority: int = 0,
    starts_at: int | None = None,
    expires_at: int | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> Coroutine[Any, Any, Grant]: ...
def grant(
    session: AsyncSession | SyncSession,
    user_id: User,
    feature: str | None = None,
    amount: int | str | None = None,
    **options: Any,
) -> Any:
    """Give the user an amount of a feature, or a plan (`plan=`), in the caller's transaction.

    An allocated feature's limit is raised while the grant lasts. A consumable's is drawn down once the
    period's allowance is used: the grant with the lowest `priority` first, then the one that expires first,
    then the oldest. `starts_at` and `expires_at` in Unix seconds. The same `key` grants once for a user.

    Raises:
        Conflict: the key was used for another grant.
        InvalidRequest, NotFound: amount, time, priority, feature or plan cannot be one.
    """
    order = GrantOrder(user_key(user_id), feature, amount, **options)
    return answer(session, lambda own: _grant(own, order))


async def _grant(session: AsyncSession, order: GrantOrder) -> Grant:
    return (await current().grant(session, order))[0]


@overload
def end_grant(session: SyncSession, user_id: User, grant_id: str) -> Grant: ...
@overload
def end_grant(session: AsyncSession, user_id: User, grant_id: str) -> Coroutine[Any, Any, Grant]: ...
def end_grant(session: AsyncSession | SyncSession, user_id: User, grant_id: str) -> Any:
    """End a grant now, in the caller's transaction. What was drawn from it stays used.

    Raises:
        NotFound: the user has no such grant of an operator or of code.
        Conflict: it has ended.
    """
    return answer(session, lambda own: current().end_grant(own, user_key(user_id), grant_id))
