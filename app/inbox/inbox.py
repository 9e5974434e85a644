"""The inbox: takes events in, in batches, each batch one transaction. Nothing else begins one for them.

While one batch commits, the events that arrive make up the next: an idle server commits a single event at
once, a busy one dozens together. On PostgreSQL a second batch begins beside the first (see `queue`), so that
one of them is read and applied here while the database has the other. `accept` returns after the commit, and
the answer 200 is given after it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from math import inf

import structlog

from ..db import Database
from ..errors import NotStorable, ServiceError, Unavailable
from ..observability import metrics
from ..observability.redaction import described
from ..plans import Catalogue
from ..reactions.outbox import Outbox
from ..stripe.own_account import OwnAccount
from .apply import NOT_APPLIED
from .delivery import Delivery
from .locked import LockedObjects, Verdict
from .outcome import Outcome
from .queue import Waiting, WaitingEvents
from .transaction import Transactions, lock_names

log = structlog.get_logger(__name__)

BATCH_TIMEOUT_SECONDS = 8
"""A database that stops answering must not block the inbox without end."""
UPDATE_TIMEOUT_SECONDS = 8
"""How long a caller waits for an update of its own: nobody's request hangs for longer than 10 s."""
SPLIT_SECONDS = 2
"""For how long a batch that meets a lock is taken apart. What is left then waits for the database."""
LATE_CHECK_SECONDS = 0.25


class Inbox:
    """Stores events and applies them. `livemode` None takes both modes; `clock` gives Unix seconds;
    `link_keys` are the metadata keys that name a user; `account` is ours."""

    def __init__(
        self,
        database: Database,
        *,
        catalogue: Catalogue,
        outbox: Outbox,
        livemode: bool | None,
        clock: Callable[[], float],
        link_keys: Sequence[str] = ("user_id",),
        account: OwnAccount | None = None,
    ) -> None:
        self.database = database
        self.transactions = Transactions(
            database,
            catalogue=catalogue,
            outbox=outbox,
            livemode=livemode,
            clock=clock,
            link_keys=link_keys,
            account=account,
        )
        self._locked = LockedObjects(database)
        self._waiting = WaitingEvents()
        self._late_check: asyncio.TimerHandle | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.committed = self.unavailable = 0
        """How many batches the database has committed, and how many times it was not available for one."""

    def start(self) -> None:
        """Begin to commit what is accepted, in tasks of its own."""
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self.database.batches_at_once)]

    async def stop(self) -> None:
        """Commit what somebody still waits for, then end."""
        self._stopping = True
        self._woken.set()
        await asyncio.gather(*self._tasks)
        if self._late_check is not None:
            self._late_check.cancel()
        # It may be started again, on another loop.
        self._stopping, self._woken, self._late_check = False, asyncio.Event(), None

    async def accept(self, delivery: Delivery, *, timeout_seconds: float = inf) -> Outcome:
        """Take an event in; returns once it is durable.

        Raises:
            Unavailable: when it could not be stored, or was not after `timeout_seconds` (it may be yet).
            Conflict, NotFound: for an internal event that contradicts what is stored.
        """
        if not self._waiting.has_room(len(delivery.event.body)):
            raise Unavailable("Too many events are waiting to be stored. Send it again later.")
        loop = asyncio.get_running_loop()
        waiting = Waiting(delivery, loop.time() + timeout_seconds)
        self._waiting.add(waiting)
        self._woken.set()
        if self._late_check is None:
            self._late_check = loop.call_later(LATE_CHECK_SECONDS, self._fail_late)
        return await waiting.outcome

    def _fail_late(self) -> None:
        """One timer for all that wait: one for each would cost more than reading its body does."""
        loop = asyncio.get_running_loop()
        unfinished = list(self._waiting.unfinished())
        for waiting in unfinished:
            if waiting.until <= loop.time():
                waiting.fail(Unavailable("The database did not take the event in time. Send it again later."))
        self._late_check = loop.call_later(LATE_CHECK_SECONDS, self._fail_late) if unfinished else None

    async def _run(self) -> None:
        """Commit batch after batch."""
        while self._goes_on():
            if batch := self._waiting.take():
                try:
                    await self._process(batch)
                except Exception as error:  # a fault of ours must not end the task that commits
                    log.error("batch_failed", events=len(batch), raised=described(error))
                    _fail(batch)
                self._waiting.end(batch)
                self._woken.set()
            else:
                self._woken.clear()
                await self._woken.wait()

    def _goes_on(self) -> bool:
        """Whether there are, or may come, events to commit. A stop would wait for minutes for those that were
        given up while the database did not answer."""
        if self._stopping:
            self._waiting.forget_given_up()
        return bool(self._waiting) or not self._stopping

    async def _process(self, batch: Sequence[Waiting]) -> None:
        """Commit the batch and give each of its requests the result."""
        if self._locked:
            batch = await self._without_locked(batch)
        await self._commit(batch)

    async def _without_locked(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """The events that need nothing which was locked a moment ago. The others are refused, or tried."""
        verdicts = await self._locked.judge(waiting.delivery for waiting in batch)
        sorted_out: dict[Verdict, list[Waiting]] = {verdict: [] for verdict in Verdict}
        for waiting, verdict in zip(batch, verdicts, strict=True):
            sorted_out[verdict].append(waiting)
        _refuse(sorted_out[Verdict.REFUSE])
        until = asyncio.get_running_loop().time() + SPLIT_SECONDS
        await self._commit(sorted_out[Verdict.TRY_APART], split_until=until)
        return sorted_out[Verdict.COMMIT]

    async def _commit(self, batch: Sequence[Waiting], *, split_until: float | None = None) -> None:
        """Commit the batch, or what of it can be committed. `split_until`: it has met a lock before."""
        if not batch:
            return
        began = time.perf_counter()
        deliveries = [waiting.delivery for waiting in batch]
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS):
                outcomes = await self.transactions.commit(deliveries, patient=split_until is None)
        except Exception as error:
            metrics.batch_ended(len(batch), time.perf_counter() - began, committed=False)
            await self._resolve_error(batch, error, split_until)
        else:
            metrics.batch_ended(len(batch), time.perf_counter() - began, committed=True)
            self.committed += 1
            self._locked.forget(deliveries)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.finish(outcome)

    async def _resolve_error(
        self, batch: Sequence[Waiting], error: Exception, split_until: float | None
    ) -> None:
        """Only an error of the database comes here. It is split down to the event that causes it."""
        if self.database.is_held(error):
            await self._go_on_without_locked(batch, split_until)
        elif self.database.is_unavailable(error):
            self._fail_unavailable(batch, type(error).__name__)
        elif len(batch) > 1:
            for half in _halves(batch):
                await self._commit(half, split_until=split_until)
        else:
            await self._keep_as_failed(batch[0], error)

    async def _go_on_without_locked(self, batch: Sequence[Waiting], split_until: float | None) -> None:
        """Somebody keeps locked what an event of the batch needs: refuse that one, and commit the others."""
        names = {waiting: set(lock_names([waiting.delivery])) for waiting in batch}
        locks = await self._locked.find(set().union(*names.values()))
        _refuse(waiting for waiting in batch if names[waiting] & locks.others)
        left = [waiting for waiting in batch if not names[waiting] & locks.others]
        in_turn = [waiting for waiting in left if names[waiting] & locks.batches]
        free = [waiting for waiting in left if not names[waiting] & locks.batches]
        now = asyncio.get_running_loop().time()
        if len(left) < len(batch) or (in_turn and free):
            await self._commit(free, split_until=split_until or now + SPLIT_SECONDS)
            await self._commit(in_turn)  # other batches end soon, so they are waited for as usual
        elif len(batch) == 1:
            self._locked.note_slow(names[batch[0]], locks)
            _refuse(batch)
        elif split_until is not None and now > split_until:
            self._fail_unavailable(batch, "locked")
        else:
            for half in _halves(batch):
                await self._commit(half, split_until=None if in_turn else split_until or now + SPLIT_SECONDS)

    def _fail_unavailable(self, batch: Sequence[Waiting], error: str) -> None:
        self.unavailable += 1
        log.error("database_unavailable", error=error, events=len(batch))
        _fail(batch)

    async def _keep_as_failed(self, waiting: Waiting, error: Exception) -> None:
        event_id = waiting.delivery.event.id
        if waiting.delivery.is_internal:
            log.error("event_not_stored", event_id=event_id, error=type(error).__name__)
            waiting.fail(ServiceError(NOT_APPLIED))
            return
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS):
                outcome = await self.transactions.keep_as_failed(waiting.delivery, error)
        except Exception as second:
            log.error("event_not_stored", event_id=event_id, error=type(second).__name__)
            cause = Unavailable if self.database.is_unavailable(second) else NotStorable
            waiting.fail(cause("The event cannot be stored. Send it again later."))
        else:
            waiting.finish(outcome)


def _halves(batch: Sequence[Waiting]) -> tuple[Sequence[Waiting], Sequence[Waiting]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def _fail(batch: Iterable[Waiting]) -> None:
    """Those of the events that are not finished."""
    unavailable = Unavailable("The database cannot take the event now. Send it again later.")
    for waiting in batch:
        waiting.fail(unavailable)


def _refuse(locked: Iterable[Waiting]) -> None:
    """Events that need what somebody else keeps locked."""
    for waiting in locked:
        waiting.fail(Unavailable("Somebody else keeps a record of this event locked. Send it again later."))
