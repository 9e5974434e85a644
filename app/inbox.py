"""The inbox: takes events in, in batches, each batch one transaction. Nothing else begins one for them.

While one batch commits, the events that arrive make up the next: an idle server commits a single event at
once, a busy one dozens together. `accept` returns after the commit, and the answer 200 is given after it.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import structlog
from sqlalchemy import Table

from . import metrics
from .db import Batch, Database, Row
from .errors import ServiceError, Stale, Unavailable
from .handlers.snapshots import current_position
from .models import (
    AuditEntry,
    Customer,
    EventState,
    OutboxEntry,
    Record,
    Subscription,
    WebhookEvent,
    table_of,
)
from .ordering import contested, position
from .outbox import Outbox
from .plans import Catalogue
from .redaction import redacted
from .retries import next_attempt_at
from .signals import event_dead, event_signal, has_receivers, users_changed
from .stripe_events import StripeEvent, parse
from .stripe_objects import as_text
from .unit_of_work import KINDS, UnitOfWork

log = structlog.get_logger(__name__)

Status = Literal["processed", "duplicate", "ignored", "deferred"]

MAX_BATCH_EVENTS = 128
"""Advisory locks share one table with all others on the server, so a batch takes a bounded number."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
BATCH_TIMEOUT_SECONDS = 8
"""A database that answers no more must not hold the inbox for ever."""
MAX_WAITING_EVENTS = 10_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
MAX_ERROR_LENGTH = 1000
NOT_APPLIED = "The change could not be applied, and nothing was changed. The log names the error."
"""Said to who called the internal API: they wait for the answer, so nothing is kept to be retried."""
NO_RECEIVER = "Nothing in this process handles events of its type, though something did when it failed."
EARLIER_SNAPSHOTS = 20
"""How many snapshots from before a contested second are read, to find the one that a circle returns to."""

STATUS_OF_STATE: dict[str, Status] = {
    EventState.PROCESSED: "processed",
    EventState.IGNORED: "ignored",
    EventState.FAILED: "deferred",
    EventState.PENDING: "deferred",
    EventState.DEAD: "deferred",
}


@dataclass(slots=True)
class Outcome:
    """What became of an event: its state in the inbox, or why it was rejected and not stored."""

    event: StripeEvent
    state: str
    error: str | None = None
    duplicate: bool = False
    rejected: ServiceError | None = None
    failing_since: int | None = None
    next_attempt_at: int | None = None

    @property
    def status(self) -> Status:
        return "duplicate" if self.duplicate else STATUS_OF_STATE[self.state]


@dataclass(slots=True, eq=False)
class _Waiting:
    event: StripeEvent
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
        self._livemode = livemode
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._random = random.Random()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit what is accepted, in a task of its own."""
        self._task = asyncio.create_task(self._run(), name="inbox")

    async def stop(self) -> None:
        """Commit what has been accepted, then end."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def accept(self, event: StripeEvent) -> Outcome:
        """Take an event in; returns once it is durable.

        Raises:
            Unavailable: when it could not be stored.
            Conflict, NotFound: for an internal event that contradicts what is stored.
        """
        size = len(event.body)
        if len(self._queue) >= MAX_WAITING_EVENTS or self._queued_bytes + size > MAX_WAITING_BYTES:
            raise Unavailable("Too many events are waiting to be stored. Send it again later.")
        waiting = _Waiting(event)
        self._queue.append(waiting)
        self._queued_bytes += size
        self._arrived.set()
        return await waiting.outcome

    async def _run(self) -> None:
        while self._queue or not self._stopping:
            await self._arrived.wait()
            await self._settle(self._take())
            if not self._queue and not self._stopping:
                self._arrived.clear()

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
        if self.database.is_unavailable(error):
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
        unit_of_work = UnitOfWork(int(self._clock()), self._catalogue)
        # The database's own words would name the row.
        refused = f"{type(error).__name__}: the database refuses the event."
        outcome = self._failed(waiting.event, refused, unit_of_work)
        unit_of_work.audit += _audited([outcome])
        try:
            async with self.database.batch() as batch:
                await batch.begin([])
                await batch.write(self._rows(unit_of_work, [outcome]), ())
        except Exception as second:
            log.error("event_not_stored", event_id=waiting.event.id, error=type(second).__name__)
            waiting.fail(Unavailable("The event cannot be stored. Send it again later."))
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
            unit_of_work = UnitOfWork(int(self._clock()), self._catalogue)
            for model in KINDS.values():
                unit_of_work.fill(model, loaded[table_of(model)])
            known -= await _unsettled(batch, [event.id for event in events if event.retry])
            fresh = [event for event in _once(events) if event.id not in known]
            await _load_history(batch, unit_of_work, [event for event in fresh if self._is_handled(event)])
            applied = {event.id: self._apply(event, unit_of_work) for event in fresh}
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

    def _apply(self, event: StripeEvent, unit_of_work: UnitOfWork) -> Outcome:
        if not self._is_handled(event):
            if event.retry and event.attempts and not event.thin and self._is_ours(event):
                # It failed in a receiver that another process has: that one is to try again.
                return self._failed(event, NO_RECEIVER, unit_of_work)
            return Outcome(event, self._state_unhandled(event))
        if event.problem:
            return self._failed(event, event.problem, unit_of_work)
        if _is_stale(event, unit_of_work):
            return Outcome(event, EventState.FAILED, rejected=Stale("The record has changed meanwhile."))
        try:
            with unit_of_work.undone_on_error():
                event_signal(event.type).send(event, unit_of_work=unit_of_work)
        except ServiceError as error:
            if event.source == "internal":
                return Outcome(event, EventState.FAILED, rejected=error)
            return self._failed(event, error.detail, unit_of_work)
        except Exception as error:
            log.error("handler_failed", event_id=event.id, event_type=event.type, error=type(error).__name__)
            if event.source == "internal":
                return Outcome(event, EventState.FAILED, rejected=ServiceError(NOT_APPLIED))
            return self._failed(event, f"{type(error).__name__}: {error}", unit_of_work)
        if event.source != "internal" and event.object_id in unit_of_work.history:
            unit_of_work.history[event.object_id].append(event)
        return Outcome(event, EventState.PROCESSED)

    def _failed(self, event: StripeEvent, error: str, unit_of_work: UnitOfWork) -> Outcome:
        """An event to be tried again later, or after too long never: then somebody must look."""
        now = int(self._clock())
        since = now if event.failing_since is None else event.failing_since
        due = next_attempt_at(event.attempts + 1, since, now, self._random)
        if due is None:
            log.error("event_dead", event_id=event.id, event_type=event.type)
            unit_of_work.announce(event_dead, event, event_type=event.type, object_id=event.object_id)
        return Outcome(
            event,
            EventState.DEAD if due is None else EventState.FAILED,
            _kept(error, event),
            failing_since=since,
            next_attempt_at=due,
        )

    def _is_handled(self, event: StripeEvent) -> bool:
        return not event.thin and has_receivers(event.type) and self._is_ours(event)

    def _is_ours(self, event: StripeEvent) -> bool:
        """Not of a connected account, nor of the other mode: those grant nothing here."""
        if event.source == "internal":
            return True
        return event.account is None and self._livemode in (None, event.livemode)

    def _state_unhandled(self, event: StripeEvent) -> str:
        # A thin event says only which object changed: it waits to be read from Stripe.
        waits = event.thin and has_receivers(event.type.removeprefix("v1.")) and self._is_ours(event)
        return EventState.PENDING if waits else EventState.IGNORED

    def _rows(self, unit_of_work: UnitOfWork, outcomes: Iterable[Outcome]) -> dict[Table, list[Row]]:
        rows: dict[Table, list[Row]] = defaultdict(list)
        for row, _ in unit_of_work.changed():
            values = row.__dict__ | {"version": row.__dict__["version"] + 1, "updated_at": unit_of_work.now}
            rows[table_of(type(row))].append(values)
        stored = [outcome for outcome in outcomes if outcome.rejected is None]
        rows[table_of(WebhookEvent)] = [self._row(outcome) for outcome in stored]
        rows[table_of(AuditEntry)] = [entry.model_dump() for entry in unit_of_work.audit]
        rows[table_of(OutboxEntry)] = self._outbox.entries(unit_of_work.reactions)
        return rows

    def _row(self, outcome: Outcome) -> Row:
        event, settled = outcome.event, outcome.state in (EventState.PROCESSED, EventState.IGNORED)
        waits = outcome.state == EventState.PENDING
        return {
            "id": event.id,
            "type": event.type,
            "object_id": event.object_id,
            "created": event.created or None,
            "api_version": event.api_version,
            "livemode": event.livemode,
            "account": event.account,
            "source": event.source,
            "body": event.body,
            "signature": event.signature,
            "received_at": event.received_at,
            "state": outcome.state,
            "attempts": event.attempts if waits else event.attempts + 1,
            "last_error": outcome.error,
            "processed_at": int(self._clock()) if settled else None,
            "failing_since": outcome.failing_since,
            "next_attempt_at": outcome.next_attempt_at,
        }


def _audited(outcomes: Iterable[Outcome]) -> list[AuditEntry]:
    """The changes at Stripe that the events answer; those are made, whatever a handler thinks of them."""
    stored = [outcome.event for outcome in outcomes if outcome.rejected is None]
    return [event.audit for event in stored if event.audit is not None]


def _is_stale(event: StripeEvent, unit_of_work: UnitOfWork) -> bool:
    """Whether the record has changed since just before the event's snapshot was read from Stripe."""
    if event.read_at_version is None:
        return False
    model = KINDS[event.object["object"]]
    if unit_of_work.has_changed(model, event.object_id):
        return True  # by an event of the same batch, whose version is counted up when it is written
    row = unit_of_work.find(model, event.object_id)
    return event.read_at_version != (row.__dict__["version"] if row else 0)


def _kept(error: str, event: StripeEvent) -> str:
    """What may be stored of an error, and shown: nothing of what the event says of a person."""
    text = redacted(error, event.object, event.previous_attributes).replace("\x00", "")
    return text.encode("utf-8", "replace").decode()[:MAX_ERROR_LENGTH]


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


async def _unsettled(batch: Batch, ids: Sequence[str]) -> set[str]:
    """Which events that are tried again still have to be: another process may have had them meanwhile."""
    if not ids:
        return set()
    marks = ", ".join("?" * len(ids))
    select = f"SELECT id FROM {WebhookEvent.__tablename__} WHERE id IN ({marks})"  # noqa: S608
    rows = await batch.fetch(f"{select} AND state NOT IN ('processed', 'ignored')", *ids)
    return {row["id"] for row in rows}


async def _load_history(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Load the earlier events of those objects whose newest snapshot their positions leave open."""
    arrivals: dict[tuple[type[Record], str], list[StripeEvent]] = defaultdict(list)
    for event in events:
        kind = KINDS.get(as_text(event.object.get("object")) or "")
        if kind in (Subscription, Customer) and event.object_id and not event.problem:
            arrivals[kind, event.object_id].append(event)
    for (model, object_id), group in arrivals.items():
        row = cast(Subscription | Customer | None, unit_of_work.find(model, object_id))
        current = current_position(row)
        burst = row.snapshot_burst if row else 0
        if contested(current, burst, [position(event) for event in group]):
            since = min(event.created for event in group)
            known = await _history(batch, object_id, min(since, current.created)) if current else []
            arriving = {event.id for event in group}  # one that is retried may have been applied elsewhere
            # A thin event says nothing of its object, though it counts as processed once that was read.
            unit_of_work.history[object_id] = [
                event for event in known if event.id not in arriving and not event.thin
            ]


async def _history(batch: Batch, object_id: str, since: int) -> list[StripeEvent]:
    """The object's events that were applied, from `since` (Unix seconds) on, and some from before."""
    table = WebhookEvent.__tablename__
    select = (
        f"SELECT body, received_at FROM {table} "  # noqa: S608
        "WHERE object_id = ? AND state = 'processed' AND source <> 'internal' AND created"
    )
    recent = await batch.fetch(f"{select} >= ?", object_id, since)
    earlier = await batch.fetch(
        f"{select} < ? ORDER BY created DESC LIMIT ?", object_id, since, EARLIER_SNAPSHOTS
    )
    return [
        parse(row["body"].encode(), signature=None, received_at=row["received_at"])
        for row in recent + earlier
    ]


def _outcome_of(event: StripeEvent, applied: Outcome | None) -> Outcome:
    if applied is None:
        return Outcome(event, EventState.PROCESSED, duplicate=True)
    return applied if applied.event is event else Outcome(event, applied.state, duplicate=True)
