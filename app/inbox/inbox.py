"""The inbox: takes events in, in batches, each batch one transaction. Nothing else begins one for them.

While one batch commits, the events that arrive make up the next: an idle server commits a single event at
once, a busy one dozens together. On PostgreSQL a second batch begins beside the first, so that one of them is
read and applied here while the database has the other. `accept` returns after the commit, and the answer 200
is given after it.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf

import structlog
from sqlalchemy import Table

from ..db import Batch, Database, Row
from ..db.models import AuditEntry, EventState, OutboxEntry, WebhookEvent, table_of
from ..errors import NotStorable, ServiceError, Unavailable
from ..observability import metrics
from ..plans import Catalogue
from ..reactions.outbox import Outbox
from ..signals import users_changed
from ..stripe.events import StripeEvent
from .apply import NOT_APPLIED, Applier
from .history import load_history
from .outcome import Outcome, event_row
from .unit_of_work import KINDS, UnitOfWork

log = structlog.get_logger(__name__)

MAX_BATCH_EVENTS = 128
"""Advisory locks share one table with all others on the server, so a batch takes a bounded number."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
WORTH_ANOTHER_BATCH = 8
"""How many must wait to begin a batch beside another: a transaction costs as much as several events."""
BATCH_TIMEOUT_SECONDS = 8
"""A database that answers no more must not hold the inbox for ever."""
UPDATE_PATIENCE_SECONDS = 8
"""How long a caller waits for an update of its own: nobody's request hangs for longer than 10 s."""
LATE_CHECK_SECONDS = 0.25
MAX_WAITING_EVENTS = 10_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Waiting:
    event: StripeEvent
    until: float = inf
    """By the loop's clock: later than that, whoever delivered it is told that it may be lost."""
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, outcome: Outcome) -> None:
        # A request that was cancelled has given up its future, and left its event in.
        if self.outcome.done():
            return
        if outcome.rejected is not None:
            self.outcome.set_exception(outcome.rejected)
        else:
            self.outcome.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class Inbox:
    """Stores events and applies them. `livemode` None takes both modes; `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Database,
        *,
        catalogue: Catalogue,
        outbox: Outbox,
        livemode: bool | None,
        clock: Callable[[], float],
    ) -> None:
        self.database = database
        self._catalogue = catalogue
        self._outbox = outbox
        self._applier = Applier(livemode=livemode, clock=clock)
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._under_way: list[list[_Waiting]] = []
        self._late_check: asyncio.TimerHandle | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to commit what is accepted, in tasks of its own."""
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self.database.batches_at_once)]

    async def stop(self) -> None:
        """Commit what has been accepted, then end."""
        self._stopping = True
        self._woken.set()
        await asyncio.gather(*self._tasks)
        if self._late_check is not None:
            self._late_check.cancel()
        # It may be started again, on another loop.
        self._stopping, self._woken, self._late_check = False, asyncio.Event(), None

    async def accept(self, event: StripeEvent, *, patience: float = inf) -> Outcome:
        """Take an event in; returns once it is durable.

        Raises:
            Unavailable: when it could not be stored, or was not after `patience` seconds (it may be yet).
            Conflict, NotFound: for an internal event that contradicts what is stored.
        """
        size = len(event.body)
        if len(self._queue) >= MAX_WAITING_EVENTS or self._queued_bytes + size > MAX_WAITING_BYTES:
            raise Unavailable("Too many events are waiting to be stored. Send it again later.")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(event, loop.time() + patience)
        self._queue.append(waiting)
        self._queued_bytes += size
        self._woken.set()
        if self._late_check is None:
            self._late_check = loop.call_later(LATE_CHECK_SECONDS, self._tell_late)
        return await waiting.outcome

    def _tell_late(self) -> None:
        """One timer for all that wait: one for each would cost more than reading its body does."""
        loop = asyncio.get_running_loop()
        for waiting in chain(self._queue, *self._under_way):
            if waiting.until <= loop.time():
                waiting.fail(Unavailable("The database did not take the event in time. Send it again later."))
        anyone = self._queue or self._under_way
        self._late_check = loop.call_later(LATE_CHECK_SECONDS, self._tell_late) if anyone else None

    async def _run(self) -> None:
        """Commit batch after batch; what two batches name alike, the database's locks keep apart."""
        while self._queue or not self._stopping:
            if self._is_worth_a_batch():
                batch = self._take()
                self._under_way.append(batch)
                await self._settle(batch)
                self._under_way.remove(batch)
                self._woken.set()
            else:
                self._woken.clear()
                await self._woken.wait()

    def _is_worth_a_batch(self) -> bool:
        return len(self._queue) >= (WORTH_ANOTHER_BATCH if self._under_way else 1)

    def _take(self) -> list[_Waiting]:
        """The next batch. It leaves the queue when it is taken, and its bytes with it."""
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH_EVENTS and size < MAX_BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1].event.body)
        self._queued_bytes -= size
        return batch

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Commit the batch and tell each of its requests. Never raises."""
        if not batch:
            return
        began = time.perf_counter()
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS):
                outcomes = await self._commit([waiting.event for waiting in batch])
        except Exception as error:
            metrics.batch_ended(len(batch), time.perf_counter() - began, committed=False)
            await self._settle_after_error(batch, error)
        else:
            metrics.batch_ended(len(batch), time.perf_counter() - began, committed=True)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.settle(outcome)

    async def _settle_after_error(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Only an error of the database comes here. It is split down to the event that causes it."""
        held = len(batch) == 1 and self.database.is_held(error)
        if held or self.database.is_unavailable(error):
            log.error("database_unavailable", error=type(error).__name__, events=len(batch))
            unavailable = Unavailable("The database cannot take the event now. Send it again later.")
            for waiting in batch:
                waiting.fail(unavailable)
        elif len(batch) > 1:
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])
        else:
            await self._keep_as_failed(batch[0], error)

    async def _keep_as_failed(self, waiting: _Waiting, error: Exception) -> None:
        if waiting.event.source == "internal":
            log.error("event_not_stored", event_id=waiting.event.id, error=type(error).__name__)
            waiting.fail(ServiceError(NOT_APPLIED))
            return
        unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, {})
        # The database's own words would name the row.
        refused = f"{type(error).__name__}: the database refuses the event."
        outcome = self._applier.failed(waiting.event, refused, unit_of_work)
        unit_of_work.audit += _audited([outcome])
        event_id = waiting.event.id
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS), self.database.batch() as batch:
                await batch.begin([f"event:{event_id}"])
                if await _settled(batch, {event_id}):
                    waiting.settle(Outcome(waiting.event, EventState.PROCESSED, duplicate=True))
                    return
                await batch.write(self._rows(unit_of_work, [outcome]), ())
        except Exception as second:
            log.error("event_not_stored", event_id=waiting.event.id, error=type(second).__name__)
            down = self.database.is_unavailable(second)
            cause = Unavailable if down else NotStorable
            waiting.fail(cause("The event cannot be stored. Send it again later."))
        else:
            self._outbox.announce(unit_of_work.reactions)
            metrics.events_settled(outcome.state, 1)
            waiting.settle(outcome)

    async def _commit(self, events: Sequence[StripeEvent]) -> list[Outcome]:
        """One transaction: lock, load, apply, write."""
        named = _named(events)
        async with self.database.batch() as batch:
            await batch.begin([f"{kind}:{id}" for kind, ids in named.items() for id in ids])
            ids = {table_of(model): named[kind] for kind, model in KINDS.items()}
            loaded, known = await batch.load(ids, known=(table_of(WebhookEvent), named["event"]))
            unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, named)
            for model in KINDS.values():
                unit_of_work.fill(model, loaded[table_of(model)])
            retried = {event.id for event in events if event.retry}
            known -= retried - await _settled(batch, retried)
            fresh = [event for event in _once(events) if event.id not in known]
            await load_history(
                batch, unit_of_work, [event for event in fresh if self._applier.is_handled(event)]
            )
            applied = {event.id: self._applier.apply(event, unit_of_work) for event in fresh}
            unit_of_work.audit += _audited(applied.values())
            users = unit_of_work.users()
            await batch.write(self._rows(unit_of_work, applied.values()), users)
        self._count(applied.values())
        if users:
            self._tell_users_changed(users)
        self._outbox.announce(unit_of_work.reactions)
        return [_outcome_of(event, applied.get(event.id)) for event in events]

    def _count(self, outcomes: Collection[Outcome]) -> None:
        """Only after the commit: what is rolled back is applied again."""
        now = self._clock()
        for state, count in Counter([each.state for each in outcomes if each.rejected is None]).items():
            metrics.events_settled(state, count)
        metrics.events_applied(
            now - each.event.created
            for each in outcomes
            if each.state == EventState.PROCESSED and each.event.source != "internal" and each.event.created
        )

    def _tell_users_changed(self, users: set[str]) -> None:
        """After the commit: a receiver that raises must not make it look as if nothing had been stored."""
        for receiver in users_changed.receivers_for(self):
            try:
                receiver(self, user_ids=users)
            except Exception as error:
                log.error("receiver_failed", receiver=str(receiver), error=type(error).__name__)

    def _rows(self, unit_of_work: UnitOfWork, outcomes: Iterable[Outcome]) -> dict[Table, list[Row]]:
        rows: dict[Table, list[Row]] = defaultdict(list)
        for model, values in unit_of_work.written():
            rows[table_of(model)].append(values)
        # In one order, as whoever replays them locks them: neither waits for the other in a circle.
        stored = sorted(
            (outcome for outcome in outcomes if outcome.rejected is None), key=lambda each: each.event.id
        )
        rows[table_of(WebhookEvent)] = [event_row(outcome, unit_of_work.now) for outcome in stored]
        rows[table_of(AuditEntry)] = [entry.model_dump() for entry in unit_of_work.audit]
        rows[table_of(OutboxEntry)] = self._outbox.entries(unit_of_work.reactions)
        return rows


def _audited(outcomes: Iterable[Outcome]) -> list[AuditEntry]:
    """The changes at Stripe that the events answer; those are made, whatever a handler thinks of them."""
    stored = [outcome.event for outcome in outcomes if outcome.rejected is None]
    return [event.audit for event in stored if event.audit is not None]


def _named(events: Iterable[StripeEvent]) -> dict[str, set[str]]:
    """The ids of all records that the events may touch, and of the events themselves."""
    named: dict[str, set[str]] = {kind: set() for kind in ("event", *KINDS)}
    for event in events:
        named["event"].add(event.id)
        for kind, ids in event.names.items():
            named[kind] |= ids
    return named


def _once(events: Iterable[StripeEvent]) -> Iterable[StripeEvent]:
    return {event.id: event for event in events}.values()


async def _settled(batch: Batch, ids: Collection[str]) -> set[str]:
    """Which of these events need nothing more: another process may have had them meanwhile."""
    if not ids:
        return set()
    marks = ", ".join("?" * len(ids))
    select = f"SELECT id FROM {WebhookEvent.__tablename__} WHERE id IN ({marks})"  # noqa: S608
    rows = await batch.fetch(f"{select} AND state IN ('processed', 'ignored')", *ids)
    return {row["id"] for row in rows}


def _outcome_of(event: StripeEvent, applied: Outcome | None) -> Outcome:
    if applied is None:
        return Outcome(event, EventState.PROCESSED, duplicate=True)
    return applied if applied.event is event else Outcome(event, applied.state, duplicate=True)
