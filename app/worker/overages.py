"""Announces what was used beyond a soft limit when its period is over: `usage_overage`, once for each period.

The transaction that passed the limit left a row in `billing_usage_overage`, due at the end of the period.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert

from ..backoff import LONGEST_WAIT_SECONDS, has_come
from ..db import Database
from ..db.models import OutboxEntry, table_of
from ..db.skipping import skipped_on_error
from ..entitlements import Entitlements
from ..limits import Limits
from ..limits.loading import read_entry
from ..limits.thresholds import OVERAGE_MARGIN_SECONDS
from ..reactions.outbox import Outbox
from ..signals import Reaction, usage_overage
from . import statements

AT_ONCE = 50
LEASE_SECONDS = 60
RECOVER_EVERY_SECONDS = 3600
AGAIN_SECONDS = 300
"""A period that should be over, and whose end has moved, is looked at again so much later."""


class Overages:
    """`clock` gives Unix seconds."""

    def __init__(
        self, database: Database, limits: Limits, outbox: Outbox, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._limits = limits
        self._outbox = outbox
        self._clock = clock
        self._recover_at = 0.0

    async def announce_due(self) -> int:
        """Look at some of the periods that should be over; how many there were."""
        now = int(self._clock())
        async with self._database.session() as session:
            connection = await session.connection()
            if has_come(self._recover_at, now, within=RECOVER_EVERY_SECONDS):
                await connection.execute(
                    statements.RECOVER_OVERAGES,
                    {"now": now, "latest": now + LONGEST_WAIT_SECONDS, "margin": OVERAGE_MARGIN_SECONDS},
                )
                self._recover_at = now + RECOVER_EVERY_SECONDS
            due = await connection.execute(
                statements.take_overages(connection.dialect.name),
                {"now": now, "lease": now + LEASE_SECONDS, "count": AT_ONCE},
            )
            taken = [dict(row._mapping) for row in due]
        for overage in taken:
            with skipped_on_error("overage_not_announced", self._database):
                await self._announce(overage)  # else this one comes again when the lease has expired
        return len(taken)

    async def _announce(self, overage: dict[str, Any]) -> None:
        now = int(self._clock())
        async with self._database.reading() as session:
            connection = await session.connection()
            entry = await read_entry(connection, overage["user_id"], self._limits.catalogue, now)
            entitlements = entry.entitlements
            current = (await connection.execute(statements.USED_IN_ROW, overage)).first()
            closed = (await connection.execute(statements.USED_IN_CLOSED, overage)).first()
        if current is not None and not _is_over(entitlements, overage, now):
            due_at = max(current.period_end + OVERAGE_MARGIN_SECONDS, now + AGAIN_SECONDS)
            async with self._database.session() as session:
                await (await session.connection()).execute(
                    statements.MOVE_OVERAGE, overage | {"due_at": due_at}
                )
            return
        reactions = _reactions(entitlements, overage, current or closed, now)
        async with self._database.session() as session:
            connection = await session.connection()
            if (await connection.execute(statements.END_OVERAGE, overage)).first() is None:
                return  # another process has announced it since
            if entries := self._outbox.entries(reactions):
                await connection.execute(insert(table_of(OutboxEntry)), entries)
        self._outbox.announce(reactions)


def _is_over(entitlements: Entitlements, overage: dict[str, Any], now: int) -> bool:
    """Whether the user's present period began later. Of a feature that is gone every period is over."""
    if overage["feature"] not in entitlements.features:
        return True
    return entitlements.period_of(overage["feature"], now).start > int(overage["period_start"])


def _reactions(entitlements: Entitlements, overage: dict[str, Any], row: Any, now: int) -> list[Reaction]:
    """One, unless all beyond the limit was released, or nothing is kept of the period."""
    if row is None or row.included is None or row.used <= row.included:
        return []
    main, feature = entitlements.subscription, overage["feature"]
    return [
        Reaction(
            id=f"{usage_overage.name}:{entitlements.user_id}:{feature}:{row.period_start}",
            signal=usage_overage.name,
            at=now,
            user_id=entitlements.user_id,
            subscription_id=main.id if main else None,
            facts={
                "feature": feature,
                "used": row.used,
                "limit": row.included,
                "over": row.used - row.included,
                "period_start": row.period_start,
                "period_end": row.period_end,
                "plan": entitlements.plan,
            },
        )
    ]
