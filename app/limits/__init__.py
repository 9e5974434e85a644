"""What application code imports to ask and to take: `from app import limits`.

    ent = await limits.load(user_id)                   # a snapshot: no I/O from here on
    ent.allows("sso"), ent.limit("storage_bytes"), ent.check("projects", used=3)

    await limits.consume(session, user_id, "projects")  # in the caller's transaction: rollback is the refund

The functions work on the service that `create_app()` or `install()` set up last in this process.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from ..entitlements import Decision, Entitlements, FeaturePreview
from ..errors import ConfigurationError
from .drift import Drift
from .errors import DeniedByDecision, FeatureNotIncluded, LimitExceeded, denial
from .history import ClosedPeriod
from .holds import Hold
from .service import Limits
from .users import User, identify_users_by, user_key

__all__ = [
    "ClosedPeriod",
    "Decision",
    "DeniedByDecision",
    "Drift",
    "Entitlements",
    "FeatureNotIncluded",
    "FeaturePreview",
    "Hold",
    "LimitExceeded",
    "Limits",
    "User",
    "consume",
    "consume_many",
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
    "within",
]

_limits: Limits | None = None


def use(limits: Limits) -> None:
    """Make the functions of this module work on these limits."""
    global _limits
    _limits = limits


def _current() -> Limits:
    if _limits is None:
        raise ConfigurationError("Limits are asked for before a service is set up: call create_app() first.")
    return _limits


async def load(user_id: User) -> Entitlements:
    """See `Limits.load`."""
    return await _current().load(user_key(user_id))


async def consume(
    session: AsyncSession, user_id: User, feature: str, amount: int = 1, *, key: str | None = None
) -> Decision:
    """See `Limits.consume`."""
    return await _current().consume(session, user_key(user_id), feature, amount, key=key)


async def consume_many(
    session: AsyncSession, user_id: User, amounts: Mapping[str, int], *, key: str | None = None
) -> dict[str, Decision]:
    """See `Limits.consume_many`."""
    return await _current().consume_many(session, user_key(user_id), amounts, key=key)


async def release(
    session: AsyncSession,
    user_id: User,
    feature: str,
    amount: int = 1,
    *,
    key: str | None = None,
    at: int | None = None,
) -> Decision:
    """See `Limits.release`."""
    return await _current().release(session, user_key(user_id), feature, amount, key=key, at=at)


@asynccontextmanager
async def reserve(user_id: User, feature: str, amount: int, *, ttl: int = 60) -> AsyncIterator[Hold]:
    """See `Limits.reserve`."""
    async with _current().reserve(user_key(user_id), feature, amount, ttl=ttl) as hold:
        yield hold


async def set_usage(session: AsyncSession, user_id: User, feature: str, measured: int) -> Decision:
    """See `Limits.set_usage`."""
    return await _current().set_usage(session, user_key(user_id), feature, measured)


async def within(user_id: User, feature: str, rank: int) -> bool:
    """See `Limits.within`."""
    return await _current().within(user_key(user_id), feature, rank)


async def transfer(
    session: AsyncSession, from_user: User, to_user: User, feature: str, amount: int = 1
) -> Decision:
    """See `Limits.transfer`."""
    return await _current().transfer(session, user_key(from_user), user_key(to_user), feature, amount)


async def history(user_id: User, feature: str | None = None, *, count: int = 100) -> list[ClosedPeriod]:
    """See `Limits.history`."""
    return await _current().history(user_key(user_id), feature, count=count)


async def reconcile(
    feature: str, count: Callable[[], Awaitable[Mapping[str, int]]], *, dry_run: bool = True
) -> list[Drift]:
    """See `Limits.reconcile`."""
    return await _current().reconcile(feature, count, dry_run=dry_run)


async def preview(
    user_id: User, *, plan: str | None = None, price_id: str | None = None, quantity: int | None = None
) -> dict[str, FeaturePreview]:
    """See `Limits.preview`."""
    return await _current().preview(user_key(user_id), plan=plan, price_id=price_id, quantity=quantity)


def require(feature: str, *, user: Callable[..., Any]) -> Callable[..., Awaitable[Entitlements]]:
    """A FastAPI dependency: gives the user's entitlements where they include the feature, else 403 or 402.

    `user` is the application's own dependency for the current user: its id, or an object (see
    `identify_users_by`).
    """

    async def required(user_id: Any = Depends(user)) -> Entitlements:
        entitlements = await load(user_id)
        decision = entitlements.check(feature, 0, 1)
        if not decision.allowed:
            raise denial(decision)
        return entitlements

    return required
