"""The events that wait for a batch, and which of them the next one takes.

Batches that are under way at once name nothing in common: one of them would wait for the other's locks, and
do nothing meanwhile. What another process has locked is left to the database.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from .delivery import Delivery
from .outcome import Outcome
from .transaction import lock_names

MAX_BATCH_EVENTS = 128
"""Advisory locks share one table with all others on the server, so a batch takes a bounded number."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
WORTH_ANOTHER_BATCH = 8
"""The smallest batch beside another: a transaction costs as much as several events."""
MOST_LOOKED_AT = 4 * MAX_BATCH_EVENTS
"""How many are looked at for a batch beside another: a burst of one object must not cost all its length."""
MAX_WAITING_EVENTS = 10_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Waiting:
    """An event that somebody waits for."""

    delivery: Delivery
    until: float = inf
    """By the loop's clock: the caller then gets `Unavailable`, since the event may not be stored."""
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _names: frozenset[str] | None = None

    @property
    def names(self) -> frozenset[str]:
        """What a batch with the event locks."""
        if self._names is None:
            self._names = frozenset(lock_names([self.delivery]))
        return self._names

    def finish(self, outcome: Outcome) -> None:
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


class WaitingEvents:
    """The queue, and the batches under way."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self._bytes = 0
        self._under_way: list[Sequence[Waiting]] = []
        self._worth_a_look = 0
        """With how many in the queue another batch may be worth it, since a look found too few."""

    def __len__(self) -> int:
        return len(self._queue)

    def unfinished(self) -> Iterator[Waiting]:
        """All that wait, those of batches under way included."""
        yield from self._queue
        for batch in self._under_way:
            yield from batch

    def has_room(self, size: int) -> bool:
        """Whether an event of so many bytes may wait, too."""
        return len(self._queue) < MAX_WAITING_EVENTS and self._bytes + size <= MAX_WAITING_BYTES

    def add(self, waiting: Waiting) -> None:
        self._queue.append(waiting)
        self._bytes += len(waiting.delivery.event.body)

    def forget_given_up(self) -> None:
        """Drop what nobody waits for any more: whoever brought it keeps it elsewhere, or sends it again."""
        left = [waiting for waiting in self._queue if not waiting.outcome.done()]
        self._queue, self._bytes = deque(left), sum(len(each.delivery.event.body) for each in left)

    @property
    def _worth_another(self) -> int:
        """How many a batch beside the one under way has at least: as many, or the two would stay small."""
        return max(WORTH_ANOTHER_BATCH, len(self._under_way[-1]))

    def take(self) -> list[Waiting]:
        """The next batch, which is now under way; nothing when none is worth it."""
        if not self._under_way:
            batch = self._first(self._queue)
            for _ in batch:
                self._queue.popleft()
        elif len(self._queue) >= max(self._worth_a_look, self._worth_another):
            batch = self._apart_from_others()
        else:
            batch = []
        if batch:
            self._bytes -= sum(len(waiting.delivery.event.body) for waiting in batch)
            self._under_way.append(batch)
        return batch

    def end(self, batch: Sequence[Waiting]) -> None:
        """The batch is not under way any more."""
        self._under_way.remove(batch)
        self._worth_a_look = 0

    def _first(self, waiting: Collection[Waiting]) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        for each in waiting:
            if len(batch) == MAX_BATCH_EVENTS or size >= MAX_BATCH_BYTES:
                break
            batch.append(each)
            size += len(each.delivery.event.body)
        return batch

    def _apart_from_others(self) -> list[Waiting]:
        """A batch that names nothing which another one under way names, if enough wait for one."""
        reserved = {name for batch in self._under_way for waiting in batch for name in waiting.names}
        free = []
        for waiting in islice(self._queue, MOST_LOOKED_AT):
            if reserved.isdisjoint(waiting.names):
                free.append(waiting)
            else:
                # What it names is kept for it, or others would go before it without end.
                reserved |= waiting.names
        if len(free) < self._worth_another:
            self._worth_a_look = len(self._queue) + self._worth_another - len(free)
            return []
        batch = self._first(free)
        taken = set(map(id, batch))
        self._queue = deque(waiting for waiting in self._queue if id(waiting) not in taken)
        return batch
