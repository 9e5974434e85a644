"""How far usage is from what the application counts itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlmodel import col

from ..db.models import Usage, table_of
from ..entitlements.periods import usage_period
from .keys import check_amount
from .loading import used_since
from .snapshots import Snapshots

NO_ROW = -1
"""A version that no row of usage has."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A user whose usage here differs from what the application counted."""

    user_id: str
    used: int
    counted: int
    repaired: bool


class Seen(NamedTuple):
    """What a user has used in the period that is open now, and the version of the row that says so."""

    used: int
    version: int


UNSEEN = Seen(0, NO_ROW)


async def read_all(snapshots: Snapshots, feature: str) -> dict[str, Seen]:
    """What each user has used of a feature, holds apart."""
    table, now = table_of(Usage), int(snapshots.clock())
    columns = (table.c.user_id, table.c.used, table.c.version, table.c.period_start, table.c.period_end)
    async with snapshots.database.reading() as session:
        query = select(*columns).where(col(Usage.feature) == feature)
        rows = list(await (await session.connection()).execute(query))
    return {row.user_id: Seen(await _used(snapshots, feature, row, now), row.version) for row in rows}


async def _used(snapshots: Snapshots, feature: str, row: Any, now: int) -> int:
    known = snapshots.catalogue.feature(feature)
    if known.reset == "period" or known.anchor == "billing":
        start = (await snapshots.load(row.user_id)).period_of(feature, now).start
    else:
        start = usage_period(known.reset, (), now).start  # the same for all: nobody need be read for it
    return used_since(row, start)


def differing(seen: Mapping[str, Seen], counted: Mapping[str, int]) -> list[str]:
    """The users whose usage is not what was counted.

    Raises:
        InvalidRequest: when a count cannot be one. Before anything is repaired, as a count that is wrong for
            one user is not to be trusted for the others.
    """
    for number in counted.values():
        check_amount(number, least=0)
    users = sorted(seen.keys() | counted)
    return [user for user in users if seen.get(user, UNSEEN).used != counted.get(user, 0)]
