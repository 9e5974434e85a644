"""The retry worker: takes due events with a lease, hands them to the inbox again. In every process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from ..backoff import LONGEST_WAIT_SECONDS, has_come
from ..concurrency import run_all
from ..db import Database
from ..inbox.arrivals import Arrivals
from ..inbox.delivery import Delivery
from ..inbox.inbox import Inbox
from ..inbox.outcome import Outcome
from ..inbox.spool import Spool
from ..limits.catalogues import CatalogueLog
from ..observability import metrics
from ..signals import events
from ..stripe.events import StripeEvent, parse
from . import statements
from .activations import Activations
from .alerts import Alerts
from .over_limits import OverLimits
from .overages import Overages
from .pruning import Pruner
from .server_report import ServerReport
from .user_states import UserStates

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60
"""How long nobody else takes an event that a worker has; a worker that was killed leaves it for so long."""
BATCH = 64
ROWS = 4
POLL_SECONDS = 1.0
PRUNE_EVERY_SECONDS = 3600


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
        pruner: Pruner,
        over_limits: OverLimits | None = None,
        user_states: UserStates | None = None,
        overages: Overages | None = None,
        arrivals: Arrivals | None = None,
        *,
        catalogues: CatalogueLog | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._spool = spool
        self._alerts = alerts
        self.pruner = pruner
        self.over_limits = over_limits
        self.user_states = user_states
        self.overages = overages
        self._arrivals = arrivals
        self._catalogues = catalogues
        self._clock = clock
        self.activations = Activations(database, inbox.transactions, clock=clock)
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
        self.pruner.stop()
        self.wake()

    async def run(self) -> None:
        """Work until stopped. A database that is down is waited for."""
        try:
            await self._work_until_stopped()
        finally:
            self._stopping, self._woken = False, asyncio.Event()  # it may run again, on another loop
            self.pruner.allow()

    async def _work_until_stopped(self) -> None:
        prune_at, pruning = self._clock(), None
        await self._wait()  # the start has enough to do: what is due waits one poll longer
        async with asyncio.TaskGroup() as beside:
            while not self._stopping:
                for work in (
                    self._store_catalogue,
                    self._drain,
                    self._retry_all_due,
                    self.activations.announce_when_due,
                    self._alerts.check_when_due,
                    self._check_over_limits,
                    self._announce_states,
                    self._announce_overages,
                    self.server.store_when_seen,
                    self._store_arrivals,
                ):
                    await self._try(work)
                is_due = has_come(prune_at, self._clock(), within=PRUNE_EVERY_SECONDS)
                if is_due and (pruning is None or pruning.done()):
                    prune_at = self._clock() + PRUNE_EVERY_SECONDS
                    # Beside the rest: a million old events take minutes, and retries are due in seconds.
                    pruning = beside.create_task(self.pruner.run())
                await self._wait()
            await self._try(self._store_arrivals)

    async def _wait(self) -> None:
        """Until the next poll, or until somebody wakes the worker."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        self._woken.clear()

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        """What fails must not keep the rest from being done."""
        try:
            await work()
        except Exception as error:
            log.warning("worker_failed", work=getattr(work, "__name__", ""), error=type(error).__name__)

    async def _drain(self) -> None:
        await self._spool.drain(self._inbox)

    async def _store_catalogue(self) -> None:
        if self._catalogues is not None:
            await self._catalogues.store()

    async def _store_arrivals(self) -> None:
        if self._arrivals is not None:
            await (self._arrivals.store() if self._stopping else self._arrivals.store_when_due())

    async def _check_over_limits(self) -> None:
        if self.over_limits is not None:
            await self.over_limits.check_due()

    async def _announce_states(self) -> None:
        if self.user_states is not None:
            await self.user_states.announce_due()

    async def _announce_overages(self) -> None:
        if self.overages is not None:
            await self.overages.announce_due()

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
            if isinstance(outcome, Outcome) and not outcome.duplicate:
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
                    "latest": now + LONGEST_WAIT_SECONDS,
                    "lease": now + LEASE_SECONDS,
                    "count": BATCH,
                    "types": _known_types(),
                    "all_types": not self._leaves_unknown,
                },
            )
            taken = rows.all()
        # After the commit: a row that cannot be read must not release the leases of the others.
        return [_delivery_of(row) for row in taken]


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
        leased_until=row.next_attempt_at,
        attempts=row.attempts,
        has_failed=row.attempts > 0 or row.last_error is not None,
        failing_since=row.failing_since,
    )


def _unreadable(row: Any, error: Exception) -> StripeEvent:
    """An event whose body cannot be read now, from its columns. It fails like any other, and alone."""
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
