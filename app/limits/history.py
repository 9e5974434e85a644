"""What users had used of consumables in periods that are over."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.keyset import in_key_order
from ..db.models import Usage, UsagePeriod, table_of
from ..entitlements import Entitlements

Place = tuple[int, str]
"""Where a page of the history ends: `period_start` and feature of its last row."""


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """What was used of a feature from `period_start` up to `period_end` (Unix seconds)."""

    feature: str
    period_start: int
    period_end: int
    used: int
    included: int | None
    """The limit when usage was last changed in it. None: unlimited, or not known."""

    @property
    def over(self) -> int:
        """How much more was used than was included, as a soft limit allows."""
        return 0 if self.included is None else max(self.used - self.included, 0)


async def read_history(
    connection: AsyncConnection,
    entitlements: Entitlements,
    *,
    feature: str | None,
    before: Place | None,
    count: int,
) -> list[ClosedPeriod]:
    """The user's closed periods, the newest first, after the row at `before`; `count` of them at most."""
    key = (col(UsagePeriod.period_start), col(UsagePeriod.feature))
    kept = in_key_order(_of_user(UsagePeriod, entitlements.user_id, feature), key, before, descending=True)
    found = [_closed(row) for row in await connection.execute(kept.limit(count))]
    # One that nothing was used after is still in the row of usage.
    for row in await connection.execute(_of_user(Usage, entitlements.user_id, feature)):
        follows = before is None or (row.period_start, row.feature) < before
        if row.used and follows and _is_over(entitlements, row):
            found.append(_closed(row))
    return sorted(found, key=lambda each: (each.period_start, each.feature), reverse=True)[:count]


def _of_user(model: type[Usage] | type[UsagePeriod], user_id: str, feature: str | None) -> Select[Any]:
    names = ("feature", "period_start", "period_end", "used", "included")
    table = table_of(model)
    query = select(*(table.c[name] for name in names)).where(table.c.user_id == user_id)
    return query if feature is None else query.where(table.c.feature == feature)


def _is_over(entitlements: Entitlements, row: Any) -> bool:
    if row.feature not in entitlements.features:
        return False
    return bool(row.period_start < entitlements.period_of(row.feature, entitlements.as_of).start)


def _closed(row: Any) -> ClosedPeriod:
    return ClosedPeriod(row.feature, row.period_start, row.period_end, row.used, row.included)
