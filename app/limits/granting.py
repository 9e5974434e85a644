"""Give a user a grant, or end one, in the caller's transaction. Times are Unix seconds."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.base import COUNT_UP
from ..db.models import Grant as StoredGrant
from ..db.models import table_of
from ..db.postgres_batch import USERS_CHANNEL
from ..entitlements import Grant
from ..errors import Conflict, InvalidRequest, NotFound
from ..plans import Catalogue
from ..plans.values import read_amount
from ..stripe.objects import MAX_ID_LENGTH, MAX_SECONDS, as_id
from .grants import as_grant
from .usage import METERED

MAX_GRANTED = 2**53 - 1
"""The most that one grant may give, so that no sum of a user's grants is too great for a column."""
MAX_GRANTS = 1000
"""How many grants that have not ended a user may have."""
MAX_PRIORITY = 1_000_000


NOTIFY = text("SELECT pg_notify(:channel, :id)")


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """What is to be granted: an amount of a feature, or a plan.

    `amount` as in the catalogue: 100, "10 GiB". `key` makes a repeated order the same grant.
    """

    user_id: str
    feature: str | None = None
    amount: int | str | None = None
    plan: str | None = None
    priority: int = 0
    """Of a consumable's grants the one with the lowest number is drawn down first."""
    starts_at: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    actor: str | None = None
    source: str = "code"
    key: str | None = None


async def grant(
    connection: AsyncConnection, catalogue: Catalogue, order: GrantOrder, now: int
) -> tuple[Grant, bool]:
    """Store the grant; whether it is new, or was given with this key before.

    Raises:
        Conflict: the key was used for another grant.
        InvalidRequest, NotFound: amount, time, priority, user, feature or plan cannot be one.
    """
    values = _checked(catalogue, order, now)
    await _count_up(connection, order.user_id)
    table = table_of(StoredGrant)
    known = (await connection.execute(select(table).where(table.c.id == values["id"]))).first()
    if known is not None:
        if not _same(known, values):
            raise Conflict("The key was used for another grant. Use a new key for another grant.")
        return as_grant(known), False  # it may have expired since
    _check_lasts(values["starts_at"], values["expires_at"], now)
    await _check_count(connection, order.user_id, now)
    await connection.execute(insert(table).values(**values))
    return as_grant(StoredGrant(**values)).at(now), True


async def end_grant(connection: AsyncConnection, user_id: str, grant_id: str, now: int) -> Grant:
    """End a grant before its time. What was drawn from it stays used.

    Raises:
        NotFound: the user has no such grant.
        Conflict: it has ended.
    """
    await _count_up(connection, user_id)
    table = table_of(StoredGrant)
    of_user = (table.c.id == grant_id) & (table.c.user_id == user_id)
    row = (await connection.execute(select(table).where(of_user))).first()
    if row is None:
        raise NotFound(
            "The user has no such grant of an operator or of code. Nothing was changed. What was bought ends "
            "with its refund at Stripe."
        )
    ended = as_grant(row)
    if ended.expires_at is not None and ended.expires_at <= now:
        raise Conflict(f"The grant ended at {ended.expires_at}. Nothing was changed.")
    await connection.execute(update(table).where(of_user).values(ended_at=now))
    return ended


async def _count_up(connection: AsyncConnection, user_id: str) -> None:
    """First of all: a transaction that changes the same user waits here."""
    await connection.execute(text(COUNT_UP), {"id": user_id})
    if connection.dialect.name == "postgresql":
        await connection.execute(NOTIFY, {"channel": USERS_CHANNEL, "id": user_id})


async def _check_count(connection: AsyncConnection, user_id: str, now: int) -> None:
    lasting = col(StoredGrant.expires_at).is_(None) | (col(StoredGrant.expires_at) > now)
    query = select(func.count()).where(
        col(StoredGrant.user_id) == user_id, col(StoredGrant.ended_at).is_(None), lasting
    )
    count = (await connection.execute(query)).scalar_one()
    if count >= MAX_GRANTS:
        raise InvalidRequest(f"The user has {count} grants, which is the most. End some of them first.")


def _checked(catalogue: Catalogue, order: GrantOrder, now: int) -> dict[str, Any]:
    if as_id(order.user_id) is None:
        raise InvalidRequest(f"user_id: a text of 1 to {MAX_ID_LENGTH} printable characters.")
    starts_at = now if order.starts_at is None else order.starts_at
    _check_times(starts_at, order.expires_at)
    priority = order.priority
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > MAX_PRIORITY:
        raise InvalidRequest(f"priority: a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}.")
    return {
        "id": _id_of(order),
        "user_id": order.user_id,
        "feature": order.feature,
        "amount": _amount(catalogue, order),
        "plan": order.plan,
        "priority": priority,
        "starts_at": starts_at,
        "expires_at": order.expires_at,
        "ended_at": None,
        "source": order.source,
        "reason": order.reason,
        "actor": order.actor,
        "created_at": now,
    }


def _amount(catalogue: Catalogue, order: GrantOrder) -> int | None:
    if (order.feature is None) == (order.plan is None):
        raise InvalidRequest("Give either a feature with an amount, or a plan.")
    if order.plan is not None:
        catalogue.plan(order.plan)
        if order.amount is not None:
            raise InvalidRequest("amount: goes with a feature, not with a plan.")
        return None
    assert order.feature is not None
    feature = catalogue.feature(order.feature)
    if feature.kind not in METERED:
        raise InvalidRequest(
            f"Feature {feature.key} is {feature.kind}: grant a consumable or an allocated feature, or set an "
            "override of this one.",
            feature=feature.key,
        )
    try:
        amount = read_amount(order.amount)
    except ValueError as error:
        raise InvalidRequest(f"amount {error}.") from None
    if amount is None or not 1 <= amount <= MAX_GRANTED:
        raise InvalidRequest(
            f"amount: from 1 to {MAX_GRANTED}. For an unlimited feature set an override.", feature=feature.key
        )
    return amount


def _check_times(starts_at: int, expires_at: int | None) -> None:
    for name, moment in (("starts_at", starts_at), ("expires_at", expires_at)):
        if moment is not None and (
            isinstance(moment, bool) or not isinstance(moment, int) or not 0 <= moment <= MAX_SECONDS
        ):
            raise InvalidRequest(f"{name}: a moment up to the year 9999, in whole Unix seconds.")


def _check_lasts(starts_at: int, expires_at: int | None, now: int) -> None:
    if expires_at is not None and expires_at <= max(starts_at, now):
        raise InvalidRequest(
            f"expires_at: {expires_at} is not after the start ({starts_at}) and now ({now}), so the grant "
            "would give nothing. Send a later moment, or none."
        )


def _id_of(order: GrantOrder) -> str:
    """An id that can stand in a URL; the same key gives the same id."""
    if order.key is None:
        return f"gr_{uuid.uuid4().hex}"
    if not (0 < len(order.key) <= MAX_ID_LENGTH and order.key.isprintable()):
        raise InvalidRequest(f"key: 1 to {MAX_ID_LENGTH} printable characters.")
    text = f"{len(order.user_id)}:{order.user_id}:{order.key}"
    return f"gr_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


SAME = ("user_id", "feature", "amount", "plan", "priority", "expires_at")


def _same(row: Any, values: dict[str, Any]) -> bool:
    return all(getattr(row, name) == values[name] for name in SAME)
