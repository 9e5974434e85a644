"""The retry worker: takes due events with a lease, hands them to the inbox again. In every process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import CursorResult, TextClause
from sqlalchemy.ext.asyncio import AsyncSession

from ..concurrency import run_all
from ..db import Database, statements
from ..db.audit import audit_entry
from ..inbox.delivery import Delivery
from ..inbox.inbox import Inbox
from ..inbox.outcome import Outcome
from ..inbox.spool import Spool
from ..observability import metrics
from ..reactions import statements as outbox_statements
from ..signals import events
from ..stripe.events import StripeEvent, parse
from .alerts import Alerts
from .server_report import ServerReport

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60
"""How long nobody else takes an event that a worker has; a worker that was killed leaves it for so long."""
BATCH = 64
ROWS = 4
POLL_SECONDS = 1.0
PRUNE_EVERY_SECONDS = 3600
PRUNE_STEP = 500
PRUNE_REST = 9
"""How many times as long as a step of it took pruning rests then: the webhooks come first."""
PRUNE_REST_MOST_SECONDS = 2.0
"""A step that was held up once must not end pruning for minutes."""
DAY = 86_400


class Worker:
    """Drains the spool, retries failed events, watches, prunes what is old. `clock` gives Unix seconds.

    Retentions are days; 0 keeps all.
    """

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        spool: Spool,
        alerts: Alerts,
        *,
        retention_days: int,
        audit_retention_days: int = 0,
        usage_retention_days: int = 0,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._spool = spool
        self._alerts = alerts
        self._retention_days = retention_days
        self._audit_retention_days = audit_retention_days
        self._usage_retention_days = usage_retention_days
        self._clock = clock
        self.server = ServerReport(database, clock)
        self._woken = asyncio.Event()
        self._stopping = False
        self._leaves_unknown = False

    def leave_unknown(self) -> None:
        """Leave what has no receiver in this process to those that have one: a command knows only our own."""
        self._leaves_unknown = True

    def wake(self) -> None:
        """Look at once, rather than at the next poll."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is being done now: a query that is cut off leaves its connection in doubt."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Work until stopped. A database that is down is waited for."""
        try:
            await self._work_until_stopped()
        finally:
            self._stopping, self._woken = False, asyncio.Event()  # it may run again, on another loop

    async def _work_until_stopped(self) -> None:
        prune_at, pruning = self._clock(), None
        async with asyncio.TaskGroup() as beside:
            while not self._stopping:
                for work in (
                    self._drain,
                    self._retry_all_due,
                    self._alerts.check_when_due,
                    self.server.store_when_seen,
                ):
                    await self._try(work)
                if self._clock() >= prune_at and (pruning is None or pruning.done()):
                    prune_at = self._clock() + PRUNE_EVERY_SECONDS
                    # Beside the rest: a million old events take minutes, and retries are due in seconds.
                    pruning = beside.create_task(self._prune_all())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
                self._woken.clear()

    async def _prune_all(self) -> None:
        if self._retention_days:
            await self._try(self.prune)
            await self._try(self.prune_outbox)
        await self._try(self.prune_keys)
        if self._audit_retention_days:
            await self._try(self.prune_audit)
        if self._usage_retention_days:
            await self._try(self.prune_usage_periods)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        """What fails must not keep the rest from being done."""
        try:
            await work()
        except Exception as error:
            log.warning("worker_failed", work=getattr(work, "__name__", ""), error=type(error).__name__)

    async def _drain(self) -> None:
        await self._spool.drain(self._inbox)

    async def _retry_all_due(self) -> None:
        """A backlog in several rows, so that the next events are taken while the ones before are applied."""
        if await self.retry_due() < BATCH:
            return  # as nearly always: an idle process asks once
        await run_all(self._retry_in_a_row() for _ in range(ROWS))

    async def _retry_in_a_row(self) -> None:
        while await self.retry_due() == BATCH and not self._stopping:
            pass

    async def retry_due(self) -> int:
        """Apply the events that are due, each on its own; how many there were."""
        due = await self._take_due()
        outcomes = await asyncio.gather(
            *(self._inbox.accept(delivery) for delivery in due), return_exceptions=True
        )
        for delivery, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, Outcome):
                metrics.event_retried(outcome.state)
                log.info(
                    "event_retried",
                    event_id=delivery.event.id,
                    state=outcome.state,
                    attempts=delivery.attempts + 1,
                )
        return len(due)

    async def _take_due(self) -> Sequence[Delivery]:
        now = int(self._clock())
        async with self._database.session() as session:
            connection = await session.connection()
            rows = await connection.execute(
                statements.take_due(connection.dialect.name),
                {
                    "now": now,
                    "lease": now + LEASE_SECONDS,
                    "count": BATCH,
                    "types": _known_types(),
                    "all_types": not self._leaves_unknown,
                },
            )
            taken = rows.all()
        # After the commit: a row that cannot be read must not give back the leases of the others.
        return [_delivery_of(row) for row in taken]

    async def prune(self) -> int:
        """Delete processed events past their retention, in small steps; how many.

        What the ordering rule still needs is kept: an object's events from its newest second on.
        """
        before, deleted = int(self._clock()) - self._retention_days * DAY, 0
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
        """Delete what was delivered before the retention, in small steps; how many."""
        return await self._prune_in_steps(
            outbox_statements.PRUNE, int(self._clock()) - self._retention_days * DAY
        )

    async def prune_keys(self) -> int:
        """Delete the idempotency keys of usage that are remembered no longer, in small steps; how many."""
        return await self._prune_in_steps(statements.PRUNE_KEYS, int(self._clock()))

    async def prune_audit(self) -> int:
        """Delete audit entries past their own retention, in small steps; how many."""
        before = int(self._clock()) - self._audit_retention_days * DAY
        return await self._prune_in_steps(statements.PRUNE_AUDIT, before)

    async def prune_usage_periods(self) -> int:
        """Delete the usage of periods that closed before its retention, in small steps; how many."""
        before = int(self._clock()) - self._usage_retention_days * DAY
        return await self._prune_in_steps(statements.PRUNE_USAGE_PERIODS, before)

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


def _known_types() -> list[str]:
    """The types that this process has receivers for, those of thin events included."""
    names = [name for name, signal in list(events.items()) if signal.receivers]
    return [*names, *(f"v1.{name}" for name in names)]


def _delivery_of(row: Any) -> Delivery:
    try:
        event = parse(row.body.encode())
    except Exception as error:  # whatever it is, it is about this row alone
        log.error("stored_event_unreadable", event_id=row.id, error=type(error).__name__)
        event = _unreadable(row, error)
    return Delivery(
        event,
        source=row.source,
        received_at=row.received_at,
        signature=row.signature,
        retry=True,
        attempts=row.attempts,
        has_failed=row.attempts > 0 or row.last_error is not None,
        failing_since=row.failing_since,
    )


def _unreadable(row: Any, error: Exception) -> StripeEvent:
    """What the columns tell of an event whose body cannot be read now: it fails like any other, and alone."""
    return StripeEvent(
        id=row.id,
        type=row.type,
        created=row.created or 0,
        object={"id": row.object_id},
        livemode=row.livemode,
        account=row.account,
        api_version=row.api_version,
        body=row.body,
        problem=f"The stored body cannot be read ({type(error).__name__}).",
    )


async def _rest_after(began: float) -> None:
    await asyncio.sleep(min((time.perf_counter() - began) * PRUNE_REST, PRUNE_REST_MOST_SECONDS))


async def replay(
    database: Database,
    actor: str,
    *,
    states: Sequence[str],
    event_id: str | None = None,
    event_type: str | None = None,
    object_id: str | None = None,
) -> int:
    """Make events due now, as if they had never failed; how many. `actor` stands in the audit trail."""
    async with database.session() as session:
        replayed = await replay_in(
            session, states=states, event_id=event_id, event_type=event_type, object_id=object_id
        )
        session.add(
            audit_entry(
                at=int(time.time()),
                actor=actor,
                action="events.replay",
                subject=event_id or object_id or "*",
                before={"states": list(states), "type": event_type},
                after={"replayed": replayed},
            )
        )
    return replayed


async def replay_in(
    session: AsyncSession,
    *,
    states: Sequence[str],
    event_id: str | None = None,
    event_type: str | None = None,
    object_id: str | None = None,
) -> int:
    """As `replay`, in the caller's transaction."""
    connection = await session.connection()
    result: CursorResult[object] = await connection.execute(
        statements.replay(connection.dialect.name),
        {"states": list(states), "id": event_id, "type": event_type, "object_id": object_id},
    )
    return result.rowcount
