"""Read the grants of a user, and what was drawn from them."""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.models import Customer, Purchase, User, table_of
from ..db.models import Grant as StoredGrant
from ..entitlements import Drawn, Grant
from ..entitlements.purchases import grants_of

KEPT_SECONDS = 400 * 86_400
"""So long after its end a grant is read: a usage period that has drawn from it may be as long as a year."""


async def read_version(connection: AsyncConnection, user_id: str) -> tuple[int, bool]:
    """The user's version, and whether there is a grant of theirs. One without a row has neither."""
    granted = exists().where(col(StoredGrant.user_id) == user_id)
    bought = exists().where(col(Purchase.user_id) == user_id)
    of_customer = exists().where(
        col(Purchase.customer_id) == col(Customer.id),
        col(Purchase.user_id).is_(None),
        col(Customer.user_id) == user_id,
    )
    query = select(col(User.version), granted | bought | of_customer).where(col(User.id) == user_id)
    row = (await connection.execute(query)).first()
    return (0, False) if row is None else (int(row[0]), bool(row[1]))


async def read_grants(connection: AsyncConnection, user_id: str, now: int) -> list[Grant]:
    """The user's grants, those that have not begun included; long after their end they are left out."""
    query = select(table_of(StoredGrant)).where(col(StoredGrant.user_id) == user_id)
    made = [as_grant(row) for row in await connection.execute(query)]
    purchases = select(table_of(Purchase)).where(purchases_of(user_id))
    made += [each for row in await connection.execute(purchases) for each in grants_of(row)]
    return lasting(made, now)


def lasting(grants: Iterable[Grant], now: int) -> list[Grant]:
    """Those that have not ended, or ended not so long ago that nothing asks for them."""
    return [each for each in grants if each.expires_at is None or each.expires_at > now - KEPT_SECONDS]


def purchases_of(user_id: str) -> ColumnElement[bool]:
    """The condition for what the user bought: what names the user, else what the user's customers bought."""
    theirs = select(col(Customer.id)).where(col(Customer.user_id) == user_id)
    of_customers = col(Purchase.user_id).is_(None) & col(Purchase.customer_id).in_(theirs)
    return (col(Purchase.user_id) == user_id) | of_customers


def as_grant(row: Any) -> Grant:
    """A stored grant as the entitlements take it."""
    ends = [each for each in (row.expires_at, row.ended_at) if each is not None]
    return Grant(
        id=row.id,
        source=row.source,
        feature=row.feature,
        amount=row.amount or 0,
        plan=row.plan,
        starts_at=row.starts_at,
        expires_at=min(ends, default=None),
        created_at=row.created_at,
        priority=row.priority,
        reason=row.reason,
        actor=row.actor,
    )


def drawn_since(row: Row[Any], start: int) -> dict[str, Drawn]:
    """What a row of usage says was drawn from each grant, ever and in the period that began at `start`."""
    drawn = orjson.loads(row.drawn) if isinstance(row.drawn, str) else row.drawn
    period = max(start, row.period_start)
    return {
        id: Drawn(entry["taken"], entry["in"] if entry["period"] == period else 0)
        for id, entry in drawn.items()
    }
