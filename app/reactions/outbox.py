"""After the commit: reactions reach their receivers. Durable ones from a table, the others at once.

An entry of the outbox is one reaction for one durable receiver, written in the transaction that the reaction
follows from. Every process delivers what is due, with a lease, so that a killed one's entries come back. Each
receiver is served on its own: one that hangs delays nobody else.
"""

import asyncio
import inspect
import queue
import random
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite

from ..backoff import DAY, LONGEST_WAIT_SECONDS, next_attempt_at
from ..concurrency import run_all
from ..db import Database, Row
from ..db.models import OutboxEntry, OutboxState, default_row, table_of
from ..db.skipping import skipped_on_error
from ..observability.redaction import REDACTED, redacted
from ..signals import Durable, Reaction, TryLater, durable_receivers, reactions
from . import statements
from .notifications import log_reaction

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
AT_ONCE = 20
"""Calls of one durable receiver at a time."""
LEASE_MARGIN_SECONDS = 30
PLAIN_TIMEOUT_SECONDS = 30
MAX_WAITING_CALLS = 1000
"""For one plain receiver; what comes beyond is dropped, and said in the log."""
STOP_SECONDS = 5
FAN_OUT = "announce"
"""The receiver of entries whose writer does not know who listens: the outbox makes one for each receiver."""
ADDRESS = re.compile(r"\w{1,32}://\S+|[^\s@]{1,64}@[^\s@]{1,255}")
"""A receiver's own addresses hold tokens, and e-mail addresses name people; errors quote both. Bounded, so
that the search takes time in proportion to the text."""
MAX_ERROR_LENGTH = 1000
LONGEST_ASKED_SECONDS = DAY
"""No receiver is waited for longer, whatever it asks for."""

PlainReceiver = Callable[[Reaction], Any]


class Outbox:
    """Carries reactions to their receivers. `clock` gives Unix seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._random = random.Random()
        self._woken = asyncio.Event()
        self._stopping = False
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._threads: dict[PlainReceiver, _Caller] = {}

    def entries(self, made: Iterable[Reaction]) -> list[Row]:
        """The rows to store for durable receivers, in the transaction that the reactions follow from."""
        now = int(self._clock())
        return [
            entry_of(reaction, name, now) for reaction in made for name in durable_receivers(reaction.signal)
        ]

    def announce(self, made: Sequence[Reaction]) -> None:
        """Call the plain receivers, wake the durable ones. After the commit; never raises, never waits."""
        for reaction in made:
            for receiver in reactions.signal(reaction.signal).receivers_for(reaction):
                self._call_plainly(receiver, reaction)
        if any(durable_receivers(reaction.signal) for reaction in made):
            self._woken.set()

    async def call_durable(self, reaction: Reaction, names: Collection[str] | None = None) -> set[str]:
        """Call durable receivers at once (of these names, or all), without the database; those that failed.

        Nothing is stored: whoever calls repeats what failed.
        """
        receivers = durable_receivers(reaction.signal)
        wanted = [each for name, each in receivers.items() if names is None or name in names]
        errors = await asyncio.gather(*(_called(each, reaction) for each in wanted))
        failed = {each.name for each, error in zip(wanted, errors, strict=True) if error is not None}
        for name in sorted(failed):
            log.warning("receiver_failed", receiver=name, reaction=reaction.id)
        return failed

    async def run(self) -> None:
        """Deliver what is due until stopped. A database that is down is waited for."""
        try:
            await self._serve_until_stopped()
            # They look at `_stopping`, too.
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
        finally:
            self._stopping, self._woken = False, asyncio.Event()  # it may run again, on another loop

    async def _serve_until_stopped(self) -> None:
        while not self._stopping:
            try:
                await self._serve_receivers()
            except Exception as error:
                log.warning("outbox_failed", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            self._woken.clear()

    async def stop(self) -> None:
        """End after a while for the calls under way. Durable ones that are cut off come again."""
        self._stopping = True
        self._woken.set()
        under_way = {*self._busy.values(), *self._calls}
        if under_way:
            _, hanging = await asyncio.wait(under_way, timeout=STOP_SECONDS)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)

    async def _serve_receivers(self) -> None:
        async with self._database.reading() as session:
            rows = await (await session.connection()).execute(
                statements.WAITING, {"now": (now := int(self._clock())), "latest": now + LONGEST_WAIT_SECONDS}
            )
            waiting = [row.receiver for row in rows]
        for receiver in waiting:
            task = self._busy.get(receiver)
            if task is None or task.done():
                self._busy[receiver] = asyncio.create_task(self._serve(receiver), name=f"outbox {receiver}")

    async def _serve(self, receiver: str) -> None:
        try:
            while not self._stopping and await self.deliver_due(receiver) == AT_ONCE:
                pass
        except Exception as error:
            log.warning("outbox_failed", error=type(error).__name__, receiver=receiver)

    async def deliver_due(self, receiver: str) -> int:
        """Call a durable receiver with the reactions that are due for it; how many there were."""
        if receiver == FAN_OUT:
            return await self._fan_out_due()
        connected = [signal for signal in reactions if receiver in durable_receivers(signal)]
        if not connected:
            return 0  # perhaps another process of a rolling deployment knows it
        lease = max(durable_receivers(signal)[receiver].timeout for signal in connected)
        entries = await self._take(receiver, connected, int(lease))
        await run_all(self._deliver(entry) for entry in entries)
        return len(entries)

    async def _take(self, receiver: str, signals: Sequence[str], lease: int) -> Sequence[Any]:
        """The entries that are due for a receiver, with a lease of so many seconds and a margin."""
        now = int(self._clock())
        async with self._database.session() as session:
            connection = await session.connection()
            due = await connection.execute(
                statements.take(connection.dialect.name),
                {
                    "receiver": receiver,
                    "signals": signals,
                    "now": now,
                    "latest": now + LONGEST_WAIT_SECONDS,
                    "lease": now + lease + LEASE_MARGIN_SECONDS,
                    "count": AT_ONCE,
                },
            )
            return due.all()

    async def _fan_out_due(self) -> int:
        """Make an entry for each durable receiver, and call the plain ones; how many reactions there were."""
        taken = await self._take(FAN_OUT, list(reactions), 0)
        for entry in taken:
            with skipped_on_error("reaction_not_announced", self._database, reaction=entry.id):
                await self._fan_out(entry)  # else it comes again when the lease has expired
        return len(taken)

    async def _fan_out(self, entry: Any) -> None:
        reaction, now = Reaction.of_json(entry.reaction), int(self._clock())
        done: Row = {"id": entry.id, "attempts": entry.attempts + 1, "last_error": None, "done_at": now}
        done |= {"state": OutboxState.DONE, "failing_since": None, "next_attempt_at": 0}
        async with self._database.session() as session:
            connection = await session.connection()
            if (await connection.execute(statements.SETTLE, done)).rowcount != 1:
                return  # another process has done it since
            if entries := self.entries([reaction]):
                await connection.execute(insert_once(connection.dialect.name), entries)
        self.announce([reaction])

    async def _deliver(self, entry: Any) -> None:
        reaction = Reaction.of_json(entry.reaction)
        receiver = durable_receivers(entry.signal)[entry.receiver]
        await self._finish(entry, await _called(receiver, reaction))

    async def _finish(self, entry: Any, failure: "_Failure | None") -> None:
        now, error = int(self._clock()), failure.error if failure else None
        values: Row = {"id": entry.id, "attempts": entry.attempts + 1, "last_error": error, "done_at": None}
        if failure is None:
            values |= {"state": OutboxState.DONE, "failing_since": None, "next_attempt_at": 0, "done_at": now}
        else:
            since = min(entry.failing_since or now, now)
            due = next_attempt_at(entry.attempts + 1, since, now, self._random)
            if due is not None and failure.again_at is not None:
                due = max(due, min(failure.again_at, now + LONGEST_ASKED_SECONDS))
            state = OutboxState.DEAD if due is None else OutboxState.PENDING
            values |= {"state": state, "failing_since": since, "next_attempt_at": due or 0}
            report = log.error if due is None else log.warning
            report("receiver_failed", receiver=entry.receiver, reaction=entry.id, state=state)
        async with self._database.session() as session:
            await (await session.connection()).execute(statements.SETTLE, values)

    def _call_plainly(self, receiver: PlainReceiver, reaction: Reaction) -> None:
        if receiver is log_reaction:
            receiver(reaction)
            return
        if inspect.iscoroutinefunction(receiver):
            task = asyncio.create_task(_call_in_time(receiver, reaction))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            return
        caller = self._threads.get(receiver)
        if caller is None:
            caller = self._threads[receiver] = _Caller(receiver)
        caller.call(reaction)


def entry_of(reaction: Reaction, receiver: str, now: int) -> Row:
    """The outbox's row for a reaction and a receiver, as it is stored first."""
    return default_row(OutboxEntry) | {
        "id": f"{reaction.id}:{receiver}",
        "signal": reaction.signal,
        "receiver": receiver,
        "event_id": reaction.event_id,
        "customer_id": reaction.customer_id,
        "reaction": reaction.as_json(),
        "created_at": now,
        "next_attempt_at": now,
    }


@cache
def insert_once(dialect: str) -> Insert:
    """Insert entries; those that are there stay as they are."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table_of(OutboxEntry)).on_conflict_do_nothing()


class _Failure(NamedTuple):
    """The error of a call, in words without what it was about, and when the receiver wants the next one."""

    error: str
    again_at: int | None = None


async def _called(receiver: Durable, reaction: Reaction) -> _Failure | None:
    """How a call failed; None when it returned."""
    error = await _failure(receiver.call, reaction, receiver.timeout)
    if error is None:
        return None
    if isinstance(error, TimeoutError):
        return _Failure(f"It took longer than {receiver.timeout:g} s.")
    text = redacted(f"{type(error).__name__}: {error}", reaction.facts)
    again_at = error.at if isinstance(error, TryLater) else None
    return _Failure(ADDRESS.sub(REDACTED, text).replace("\x00", "")[:MAX_ERROR_LENGTH], again_at)


async def _call_in_time(receiver: PlainReceiver, reaction: Reaction) -> None:
    if error := await _failure(receiver, reaction, PLAIN_TIMEOUT_SECONDS):
        log.error(
            "receiver_failed", receiver=_name(receiver), reaction=reaction.id, error=type(error).__name__
        )


async def _failure(receiver: PlainReceiver, reaction: Reaction, seconds: float) -> BaseException | None:
    """What a receiver raised, or its time-out; None when it returned in time.

    Also SystemExit: a receiver that ends itself ends nothing else. Who ends us is obeyed.
    """
    try:
        async with asyncio.timeout(seconds):
            await receiver(reaction)
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return error
    return None


class _Caller:
    """A thread that calls one plain function: one that blocks holds up neither the service nor another one.

    A daemon, so that a function which never returns does not keep the process from ending.
    """

    def __init__(self, receiver: PlainReceiver) -> None:
        self._receiver = receiver
        self._waiting: queue.SimpleQueue[Reaction] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"receiver {_name(receiver)}", daemon=True).start()

    def call(self, reaction: Reaction) -> None:
        if self._waiting.qsize() < MAX_WAITING_CALLS:
            self._waiting.put(reaction)
        else:
            log.error("reaction_dropped", receiver=_name(self._receiver), reaction=reaction.id)

    def _run(self) -> None:
        while True:
            reaction = self._waiting.get()
            try:
                self._receiver(reaction)
            except BaseException as error:  # SystemExit would end the thread, and all later calls with it
                log.error(
                    "receiver_failed",
                    receiver=_name(self._receiver),
                    reaction=reaction.id,
                    error=type(error).__name__,
                )


def _name(receiver: PlainReceiver) -> str:
    return str(getattr(receiver, "__qualname__", receiver))
