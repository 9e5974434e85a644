"""Announces that usage has reached a threshold of its limit, in the transaction that took it there.

The statement that takes says what is used after it and what was announced in the period. Its row is locked:
of any number of transactions exactly one sees a threshold that is reached and not announced. That one notes
it in the row and leaves an entry in the outbox; a rollback takes back all three. What reaches no threshold
costs no statement. A running service hands the entry to the receivers, which this process may not know.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from ..entitlements import Entitlements, FeatureEntitlement
from ..reactions.outbox import FAN_OUT, entry_of, insert_once
from ..signals import Reaction, limit_reached, usage_threshold_reached
from . import statements

OVERAGE_MARGIN_SECONDS: Final = 60
"""So long after a period's end nobody counts anything in it any more."""
MOST_TOLD = 50
"""Thresholds that a row notes: those announced last."""


class Threshold(NamedTuple):
    """Reached when so much is used as `at` says."""

    at: int
    key: str
    share: float | None
    """Of the limit; None for the limit itself, and for what passes it."""


@lru_cache(maxsize=4096)
def thresholds_of(limit: int | None, warn_at: Sequence[float], *, soft: bool) -> tuple[Threshold, ...]:
    """The thresholds of a limit, the lowest first. `soft`: passing it is one, too."""
    if not limit:
        return ()
    found = [
        Threshold(max(math.ceil(Fraction(str(share)) * limit), 1), f"{share}:{limit}", share)
        for share in warn_at
    ]
    found.append(Threshold(limit, f"limit:{limit}", None))
    if soft:
        found.append(Threshold(limit + 1, f"over:{limit}", None))
    return tuple(sorted(found, key=lambda each: (each.at, each.key)))


async def announce_reached(
    connection: AsyncConnection,
    entitlements: Entitlements,
    feature: str,
    row: Any,
    now: int,
    *,
    amount: int = 0,
) -> None:
    """Announce what `amount` more has reached, at `now` (Unix seconds). `row` is what the statement that took
    or measured it returned; what was measured may be less than before."""
    own = entitlements.feature(feature)
    thresholds = thresholds_of(own.limit, own.warn_at, soft=own.soft and own.kind == "consumable")
    used = int(row.taken)
    if not thresholds or used < thresholds[0].at:
        return
    told = _told(row)
    again = own.kind == "allocated"
    reached = [
        each
        for each in thresholds
        if each.at <= used and (each.key not in told or (again and used - amount < each.at))
    ]
    if reached:
        row_of = {"user_id": entitlements.user_id, "feature": feature}
        await _note(connection, row_of, row, [*told, *(each.key for each in reached if each.key not in told)])
        await _announce(connection, entitlements, own, row, reached, now)


def _told(row: Any) -> list[str]:
    """The keys of what was announced in the row's period."""
    noted = orjson.loads(row.thresholds) if isinstance(row.thresholds, str) else row.thresholds
    if not noted or noted["start"] != row.period_start:
        return []
    told: list[str] = noted["told"]
    return told


async def _note(connection: AsyncConnection, row_of: dict[str, str], row: Any, told: list[str]) -> None:
    noted = orjson.dumps({"start": row.period_start, "told": told[-MOST_TOLD:]}).decode()
    statement = statements.set_thresholds(connection.dialect.name)
    await connection.execute(statement, row_of | {"thresholds": noted})


async def _announce(
    connection: AsyncConnection,
    entitlements: Entitlements,
    own: FeatureEntitlement,
    row: Any,
    reached: Sequence[Threshold],
    now: int,
) -> None:
    entries = []
    for each in reached:
        if each.key.startswith("over:"):
            due_at = row.period_end + OVERAGE_MARGIN_SECONDS
            period = {"period_start": row.period_start, "due_at": due_at}
            user = {"user_id": entitlements.user_id, "feature": own.feature}
            await connection.execute(statements.PUT_OVERAGE, user | period)
        else:
            entries.append(entry_of(_reaction(entitlements, own, row, each, now), FAN_OUT, now))
    if entries:
        await connection.execute(insert_once(connection.dialect.name), entries)


def _reaction(
    entitlements: Entitlements, own: FeatureEntitlement, row: Any, reached: Threshold, now: int
) -> Reaction:
    signal = limit_reached if reached.share is None else usage_threshold_reached
    main = entitlements.subscription
    is_consumable = own.kind == "consumable"
    # What has no period may be announced again: the row's version tells one time from another.
    when = row.period_start if is_consumable else f"v{row.version}"
    return Reaction(
        id=f"{signal.name}:{entitlements.user_id}:{own.feature}:{reached.key}:{when}",
        signal=signal.name,
        at=now,
        user_id=entitlements.user_id,
        subscription_id=main.id if main else None,
        facts={
            "feature": own.feature,
            "used": int(row.taken),
            "limit": own.limit,
            "share": 1.0 if reached.share is None else reached.share,
            "soft": own.soft,
            "plan": entitlements.plan,
            "period_start": row.period_start if is_consumable else None,
            "period_end": row.period_end if is_consumable else None,
        },
    )
