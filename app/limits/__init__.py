"""What application code imports to ask and to take: `from app import limits`.

    ent = await limits.load(user_id)                   # a snapshot: no I/O from here on
    ent.allows("sso"), ent.limit("storage_bytes"), ent.check("projects", used=3)

    await limits.consume(session, user_id, "projects")  # in the caller's transaction: a rollback undoes it

With a synchronous SQLAlchemy `Session` the same functions give their answer at once, without `await`:

    limits.consume(session, user_id, "projects")
    ent = limits.load(user_id, session)

The functions work on the service that `create_app()` or `install()` set up last in this process; a process
without one calls `use_catalogue()` first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, overload

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from ..entitlements import Decision, Entitlements, FeaturePreview, Grant
from .current import current, use, use_catalogue, with_a_service
from .drift import Drift
from .errors import DeniedByDecision, FeatureNotIncluded, LimitExceeded, denial
from .grant_functions import end_grant, grant
from .history import ClosedPeriod
from .holds import Hold
from .service import Limits
from .sessions import SyncSession, answer
from .users import User, identify_users_by, user_key

__all__ = [
    "ClosedPeriod",
    "Decision",
    "DeniedByDecision",
    "Drift",
    "Entitlements",
    "FeatureNotIncluded",
    "FeaturePreview",
    "Grant",
    "Hold",
    "LimitExceeded",
    "Limits",
    "User",
    "consume",
    "consume_many",
    "end_grant",
    "grant",
    "history",
    "identify_users_by",
    "load",
    "preview",
    "reconcile",
    "release",
    "require",
    "reserve",
    "set_usage",
    "transfer",
    "use",
    "use_catalogue",
    "within",
]


@overload
def load(user_id: User, session: SyncSession) -> Entitlements: ...
@overload
def load(user_id: User, session: AsyncSession | None = None) -> Coroutine[Any, Any, Entitlements]: ...
def load(user_id: User, session: AsyncSession | SyncSession | None = None) -> Any:
    """What the user has, with the usage as of now; ask it without I/O.

    Without a session it is kept in memory for seconds. With one it is read in that session's transaction,
    with all that this has changed. An unknown user has the default plan, and nothing is written.

    Raises:
        InvalidRequest: when the user's id cannot be one.
        ConfigurationError: without a session, in a process that has no service: at once, not when awaited.
    """
    if session is None:
        return with_a_service().load(user_key(user_id))
    return answer(session, lambda own: current().load(user_key(user_id), own))


@overload
def consume(
    session: SyncSession, user_id: User, feature: str, amount: int = 1, *, key: str | None = None
) -> Decision: ...
@overload
def consume(
    session: AsyncSession, user_id: User, feature: str, amount: int = 1, *, key: str | None = None
) -> Coroutine[Any, Any, Decision]: ...
def consume(
    session: AsyncSession | SyncSession,
    user_id: User,
    feature: str,
    amount: int = 1,
    *,
    key: str | None = None,
) -> Any:
    """Use `amount` of a feature, if the limit allows it now.

    Part of the caller's transaction: rolled back with it. `used` in the decision is what is used after.
    The same key gives the same answer for 7 days, and uses the amount once.

    Raises:
        LimitExceeded, FeatureNotIncluded: with the decision; nothing was used.
        Conflict: the key was used for another amount.
        InvalidRequest, NotFound: amount or key cannot be one; the feature is not metered, or not known.
    """
    return answer(session, lambda own: current().consume(own, user_key(user_id), feature, amount, key=key))


@overload
def consume_many(
    session: SyncSession, user_id: User, amounts: Mapping[str, int], *, key: str | None = None
) -> dict[str, Decision]: ...
@overload
def consume_many(
    session: AsyncSession, user_id: User, amounts: Mapping[str, int], *, key: str | None = None
) -> Coroutine[Any, Any, dict[str, Decision]]: ...
def consume_many(
    session: AsyncSession | SyncSession, user_id: User, amounts: Mapping[str, int], *, key: str | None = None
) -> Any:
    """Use several features, all or none; always in one order, so that no two callers deadlock.

    Raises:
        As `consume`; Conflict also when the key was used for other features.
    """
    return answer(session, lambda own: current().consume_many(own, user_key(user_id), amounts, key=key))


@overload
def release(
    session: SyncSession,
    user_id: User,
    feature: str,
    amount: int = 1,
    *,
    key: str | None = None,
    at: int | None = None,
) -> Decision: ...
@overload
def release(
    session: AsyncSession,
    user_id: User,
    feature: str,
    amount: int = 1,
    *,
    key: str | None = None,
    at: int | None = None,
) -> Coroutine[Any, Any, Decision]: ...
def release(
    session: AsyncSession | SyncSession,
    user_id: User,
    feature: str,
    amount: int = 1,
    *,
    key: str | None = None,
    at: int | None = None,
) -> Any:
    """Release `amount`, in the caller's transaction. Always allowed; usage never falls below 0.

    `at` (Unix seconds): the moment of the use. A closed period is lowered then, not the open one;
    what is no longer kept of it changes nothing.

    Raises:
        Conflict: the key was used for another amount.
        InvalidRequest, NotFound: amount, key or moment cannot be one; the feature is not metered, or not
            known.
    """
    return answer(
        session, lambda own: current().release(own, user_key(user_id), feature, amount, key=key, at=at)
    )


@asynccontextmanager
async def reserve(user_id: User, feature: str, amount: int, *, ttl: int = 60) -> AsyncIterator[Hold]:
    """Hold `amount` for at most `ttl` seconds, in transactions of its own; commit what was really taken.

    Raises:
        LimitExceeded, FeatureNotIncluded: with the decision; nothing is held.
        InvalidRequest, NotFound: amount, `ttl` (30 days at most) or feature cannot be one.
    """
    async with current().reserve(user_key(user_id), feature, amount, ttl=ttl) as hold:
        yield hold


@overload
def set_usage(session: SyncSession, user_id: User, feature: str, measured: int) -> Decision: ...
@overload
def set_usage(
    session: AsyncSession, user_id: User, feature: str, measured: int
) -> Coroutine[Any, Any, Decision]: ...
def set_usage(session: AsyncSession | SyncSession, user_id: User, feature: str, measured: int) -> Any:
    """Set the usage to what was measured elsewhere. Never denied; more than the limit denies further use.

    Raises:
        InvalidRequest, NotFound: the number cannot be one; the feature is not metered, or not known.
    """
    return answer(session, lambda own: current().set_usage(own, user_key(user_id), feature, measured))


@overload
def within(user_id: User, feature: str, rank: int, session: SyncSession) -> bool: ...
@overload
def within(
    user_id: User, feature: str, rank: int, session: AsyncSession | None = None
) -> Coroutine[Any, Any, bool]: ...
def within(user_id: User, feature: str, rank: int, session: AsyncSession | SyncSession | None = None) -> Any:
    """Whether the user's thing of that rank may stay in use after a downgrade, the oldest being 1.

    Raises:
        InvalidRequest, NotFound: the rank cannot be one; the feature is not allocated, or not known.
    """
    if session is None:
        return with_a_service().within(user_key(user_id), feature, rank)
    return answer(session, lambda own: current().within(user_key(user_id), feature, rank, own))


@overload
def transfer(
    session: SyncSession, from_user: User, to_user: User, feature: str, amount: int = 1
) -> Decision: ...
@overload
def transfer(
    session: AsyncSession, from_user: User, to_user: User, feature: str, amount: int = 1
) -> Coroutine[Any, Any, Decision]: ...
def transfer(
    session: AsyncSession | SyncSession, from_user: User, to_user: User, feature: str, amount: int = 1
) -> Any:
    """Move usage to a new owner, in the caller's transaction: both change, or neither. What the new owner
    has now is in the decision.

    Raises:
        LimitExceeded, FeatureNotIncluded: of the new owner, with the decision; nothing was moved.
        InvalidRequest, NotFound: the users are the same, or the first has used less than `amount`; the
            amount cannot be one; the feature is not metered, or not known.
    """
    return answer(
        session,
        lambda own: current().transfer(own, user_key(from_user), user_key(to_user), feature, amount),
    )


async def history(user_id: User, feature: str | None = None, *, count: int = 100) -> list[ClosedPeriod]:
    """What the user had used of consumables in periods that are over, the newest first.

    Raises:
        InvalidRequest: when the user's id cannot be one.
    """
    return await current().history(user_key(user_id), feature, count=count)


async def reconcile(
    feature: str, count: Callable[[], Awaitable[Mapping[str, int]]], *, dry_run: bool = True
) -> list[Drift]:
    """Compare usage with what the application counts: `count()` gives each user's number.

    Without `dry_run`, usage that has not moved since it was read is set to the count. Of a consumable
    that is what was used in each user's open period.

    Raises:
        InvalidRequest, NotFound: a count cannot be one; the feature is not metered, or not known.
    """
    return await current().reconcile(feature, count, dry_run=dry_run)


async def preview(
    user_id: User, *, plan: str | None = None, price_id: str | None = None, quantity: int | None = None
) -> dict[str, FeaturePreview]:
    """Each feature's limit now and then, and what would be over, before a change of plan is made.

    Raises:
        NotFound, InvalidRequest: the plan or price is not in the catalogue; not exactly one is given.
    """
    return await current().preview(user_key(user_id), plan=plan, price_id=price_id, quantity=quantity)


def require(
    feature: str, *, user: Callable[..., Any], session: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """A FastAPI dependency: gives the user's entitlements where they include the feature, else 403 or 402.

    `user` is the application's own dependency for the current user: its id, or an object (see
    `identify_users_by`). `session` is its dependency for a synchronous session: then the entitlements are
    read there, in a thread, and the process needs no service of its own.
    """

    async def required(user_id: Any = Depends(user)) -> Entitlements:
        return _included(await load(user_id), feature)

    def required_in_session(user_id: Any = Depends(user), own: Any = Depends(session)) -> Entitlements:
        return _included(load(user_id, own), feature)

    return required if session is None else required_in_session


def _included(entitlements: Entitlements, feature: str) -> Entitlements:
    decision = entitlements.check(feature, 0, 1)
    if not decision.allowed:
        raise denial(decision, entitlements.catalogue)
    return entitlements
