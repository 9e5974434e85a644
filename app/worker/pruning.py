"""Pruning: deletes what its retention has passed, in small steps, so that webhooks come first."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import CursorResult, TextClause

from ..db import Database
from ..db.clock import MOST_APART_SECONDS, clocks_apart
from ..limits.catalogues import FORGET
from ..reactions import statements as outbox_statements
from . import statements

log = structlog.get_logger(__name__)

PRUNE_STEP = 500
PRUNE_REST = 9
"""After a step the pruner rests this many times as long as the step took."""
PRUNE_REST_MOST_SECONDS = 2.0
"""A step that was delayed once must not stop pruning for minutes."""
DAY = 86_400
CHECKOUT_SESSIONS_DAYS = 3
"""How long a checkout session is kept that has ended: an idempotency key of Stripe's is good for a day."""
LISTED_DAYS = 30
"""How long Stripe lists an event ("List all events"): one that was deleted sooner would be taken in again by
a catch-up, and announced again."""


class Pruner:
    """Deletes old events, outbox entries, audit entries, closed usage periods and idempotency keys.

    Each retention is in days, and 0 keeps everything; `clock` gives Unix seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        retention_days: int,
        audit_retention_days: int = 0,
        usage_retention_days: int = 0,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._retention_days = retention_days
        self._audit_retention_days = audit_retention_days
        self._usage_retention_days = usage_retention_days
        self._clock = clock
        self._stopping = False

    def stop(self) -> None:
        """End after the step that runs now, or before the first one. This holds until `allow`."""
        self._stopping = True

    def allow(self) -> None:
        """Prune again after a stop."""
        self._stopping = False

    async def run(self) -> None:
        """Prune everything once. Never raises: one kind that fails does not stop the others.

        Nothing is pruned while this process's clock and the database's differ by more than a minute.
        """
        await self._try(self._prune)

    async def _prune(self) -> None:
        if not await self._knows_the_time():
            return
        if self._retention_days:
            await self._try(self.prune_events)
            await self._try(self.prune_outbox)
            await self._try(self.prune_history)
        await self._try(self.prune_keys)
        await self._try(self.prune_checkout_sessions)
        if self._audit_retention_days:
            await self._try(self.prune_audit)
        if self._usage_retention_days:
            await self._try(self.prune_usage_periods)

    async def _knows_the_time(self) -> bool:
        """Whether this process's clock is the database's: one that jumped ahead makes everything old."""
        apart = await clocks_apart(self._database, self._clock)
        if abs(apart) > MOST_APART_SECONDS:
            log.error("not_pruned_clocks_differ", seconds=apart, at_most=MOST_APART_SECONDS)
        return abs(apart) <= MOST_APART_SECONDS

    async def _try(self, prune: Callable[[], Awaitable[object]]) -> None:
        try:
            await prune()
        except Exception as error:
            log.warning("pruning_failed", work=getattr(prune, "__name__", ""), error=type(error).__name__)

    async def prune_events(self) -> int:
        """Delete processed events past their retention; returns how many.

        What the ordering rule still needs is kept: an object's events from its newest second on.
        """
        before, deleted = self._oldest_kept(max(self._retention_days, LISTED_DAYS)), 0
        place = {"received_at": -1, "id": ""}
        while True:
            began = time.perf_counter()
            async with self._database.session() as session:
                connection = await session.connection()
                found = await connection.execute(
                    statements.PRUNE_WINDOW, place | {"before": before, "count": PRUNE_STEP}
                )
                window = list(found)
                if not window or self._stopping:
                    return deleted
                last = {"last_received_at": window[-1].received_at, "last_id": window[-1].id}
                result: CursorResult[object] = await connection.execute(
                    statements.PRUNE, place | last | {"before": before}
                )
                deleted += result.rowcount
            place = {"received_at": window[-1].received_at, "id": window[-1].id}
            await _rest_after(began)

    async def prune_outbox(self) -> int:
        """Delete entries that were delivered before the retention; returns how many."""
        before = self._oldest_kept(max(self._retention_days, LISTED_DAYS))
        return await self._prune_in_steps(outbox_statements.PRUNE, before)

    async def prune_keys(self) -> int:
        """Delete the idempotency keys of usage that have expired; returns how many."""
        return await self._prune_in_steps(statements.PRUNE_KEYS, int(self._clock()))

    async def prune_checkout_sessions(self) -> int:
        """Delete checkout sessions that ended days ago; returns how many."""
        before = int(self._clock()) - CHECKOUT_SESSIONS_DAYS * DAY
        return await self._prune_in_steps(statements.PRUNE_CHECKOUT_SESSIONS, before)

    async def prune_history(self) -> int:
        """Delete what records were before the retention of events; returns how many states."""
        before = self._oldest_kept(max(self._retention_days, LISTED_DAYS))
        await self._forget_past(before)
        return await self._prune_in_steps(statements.PRUNE_HISTORY, before)

    async def prune_audit(self) -> int:
        """Delete audit entries past their retention; returns how many."""
        before = self._oldest_kept(self._audit_retention_days)
        await self._forget_past(before)  # the overrides of then are in the trail
        return await self._prune_in_steps(statements.PRUNE_AUDIT, before)

    async def _forget_past(self, before: int) -> None:
        """Say, before anything is deleted, that what users had before is not known any more."""
        async with self._database.session() as session:
            connection = await session.connection()
            for statement in FORGET:
                await connection.execute(statement, {"before": before})

    async def prune_usage_periods(self) -> int:
        """Delete the usage of periods that closed before its retention; returns how many."""
        before = self._oldest_kept(self._usage_retention_days)
        return await self._prune_in_steps(statements.PRUNE_USAGE_PERIODS, before)

    def _oldest_kept(self, days: int) -> int:
        return int(self._clock()) - days * DAY

    async def _prune_in_steps(self, delete: TextClause, before: int) -> int:
        deleted = 0
        while not self._stopping:
            began = time.perf_counter()
            async with self._database.session() as session:
                result: CursorResult[object] = await (await session.connection()).execute(
                    delete, {"before": before, "count": PRUNE_STEP}
                )
            deleted += result.rowcount
            if result.rowcount < PRUNE_STEP:
                break
            await _rest_after(began)
        return deleted


async def _rest_after(began: float) -> None:
    await asyncio.sleep(min((time.perf_counter() - began) * PRUNE_REST, PRUNE_REST_MOST_SECONDS))
