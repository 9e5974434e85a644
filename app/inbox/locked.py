"""Objects whose records somebody else keeps locked, as a report does that runs for a minute.

The events that name one are refused at once, so the webhook keeps them in the spool, and all others go on.
Otherwise every batch with one such event would wait for the lock, and all that wait for a batch with it.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import chain

import structlog
from sqlalchemy import Table

from ..db import Database, Locks
from ..db.models import WebhookEvent, table_of
from .delivery import Delivery
from .kinds import KINDS
from .transaction import lock_names

log = structlog.get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0
"""How long events wait whose lock does not show: each try waits for it."""
FORGET_SECONDS = 60.0
"""A lock that does not show is forgotten when no event has met it for so long."""
LOOK_TIMEOUT_SECONDS = 2.0

TABLES = {kind: table_of(model) for kind, model in KINDS.items()} | {"event": table_of(WebhookEvent)}


class Verdict(Enum):
    """What to do with an event now."""

    COMMIT = "nothing that it names is known to be locked"
    TRY_APART = "it may meet a lock that does not show"
    REFUSE = "something that it names is locked"


class LockedObjects:
    """The names of locked objects, such as `customer:cus_1`. `clock` gives seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._locked: set[str] = set()
        self._slow: dict[str, float] = {}
        """When to try again what a batch did not get in time, for another batch or for a lock unseen."""
        self._unseen: set[str] = set()
        """Of the slow ones: those that the database does not show as locked."""

    def __bool__(self) -> bool:
        return bool(self._locked or self._slow)

    async def judge(self, deliveries: Iterable[Delivery]) -> list[Verdict]:
        """What to do with each event; the database is asked about the objects that were locked before."""
        named = [set(lock_names([delivery])) for delivery in deliveries]
        remembered = (self._locked | self._slow.keys()).intersection(chain(*named))
        locks = await self.find(remembered)
        for name in remembered & self._slow.keys() - locks.batches - self._unseen:
            del self._slow[name]  # that batch has ended
        now = self._clock()
        locked = locks.others | {name for name, at in self._slow.items() if at > now}
        return [self._verdict(names, locked) for names in named]

    def _verdict(self, names: set[str], locked: set[str]) -> Verdict:
        if names & locked:
            return Verdict.REFUSE
        return Verdict.TRY_APART if names & self._slow.keys() else Verdict.COMMIT

    async def find(self, names: Collection[str]) -> Locks:
        """Ask the database which of these are locked now, and remember them.

        Not every lock shows: one on a whole table, or on a record that the events do not name, does not.
        """
        found = Locks()
        if names:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_SECONDS):
                    found = await self._database.locked(_records(names))
            except Exception as error:
                log.warning("locks_not_read", error=type(error).__name__)
        if fresh := sorted(found.others - self._locked):
            log.warning("objects_locked", objects=fresh[:10], count=len(fresh))
        self._locked = (self._locked - set(names)) | found.others
        return found

    def note_slow(self, names: AbstractSet[str], locks: Locks) -> None:
        """Remember that an event which names these has not got a lock in time, though nobody else has it."""
        now = self._clock()
        seen = names & locks.batches
        self._slow = {name: at for name, at in self._slow.items() if now - at < FORGET_SECONDS}
        self._slow |= dict.fromkeys(seen or names, now + TRY_AGAIN_SECONDS)
        self._unseen = (self._unseen & self._slow.keys()) | (set() if seen else names)
        log.warning("lock_not_had", objects=sorted(seen or names)[:10])

    def forget(self, deliveries: Collection[Delivery]) -> None:
        """Forget what these events name: they were committed, so nobody has locked it."""
        if self._slow:
            for name in lock_names(deliveries):
                self._slow.pop(name, None)


def _records(names: Iterable[str]) -> dict[str, tuple[Table, str] | None]:
    """The table and the id of each record that is locked by this name; None where there is no record."""
    parts = {name: name.partition(":") for name in names}
    return {name: (TABLES[kind], id) if kind in TABLES else None for name, (kind, _, id) in parts.items()}
