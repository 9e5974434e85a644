"""Objects whose records somebody else keeps locked, as a report does that runs for a minute.

The events that name one are refused at once, so the webhook keeps them in the spool, and all others go on.
Otherwise every batch with one such event would wait for the lock, and all that wait for a batch with it.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable

import structlog
from sqlalchemy import Table

from ..db import Database
from ..db.models import WebhookEvent, table_of
from .delivery import Delivery
from .transaction import lock_names
from .unit_of_work import KINDS

log = structlog.get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0
"""How long events wait whose lock does not show: each try waits for it."""
FORGET_SECONDS = 60.0
"""An object that no event has named for so long is forgotten."""
LOOK_TIMEOUT_SECONDS = 2.0

TABLES = {kind: table_of(model) for kind, model in KINDS.items()} | {"event": table_of(WebhookEvent)}


class LockedObjects:
    """The names of locked objects, such as `customer:cus_1`. `clock` gives seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._look_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._look_at)

    def note_unseen(self, names: Collection[str]) -> None:
        """Remember that an event which names these has met a lock that does not show."""
        self._note(names, self._clock() + TRY_AGAIN_SECONDS)

    def _note(self, names: Collection[str], look_at: float) -> None:
        old = self._clock() - FORGET_SECONDS
        self._look_at = {name: at for name, at in self._look_at.items() if at > old}
        if fresh := sorted(name for name in names if name not in self._look_at):
            log.warning("objects_locked", objects=fresh[:10], count=len(fresh))
        self._look_at |= dict.fromkeys(names, look_at)

    def forget(self, deliveries: Collection[Delivery]) -> None:
        """Forget what these events name: they were committed, so nobody has locked it."""
        if self._look_at:
            for name in lock_names(deliveries):
                self._look_at.pop(name, None)

    def named_by(self, delivery: Delivery) -> set[str]:
        """The remembered objects that the event names."""
        return self._look_at.keys() & lock_names([delivery])

    async def locked_still(self, names: Collection[str]) -> set[str]:
        """Which of these remembered objects are locked still."""
        now = self._clock()
        due = {name for name in names if self._look_at.get(name, now) <= now}
        return (set(names) - due) | await self.find(due)

    async def find(self, names: Collection[str]) -> set[str]:
        """Ask the database which of these are locked now, and remember them.

        Not every lock shows: one on a whole table, or on a record that the events do not name, does not.
        """
        found: set[str] = set()
        if names:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_SECONDS):
                    found = await self._database.locked(_records(names))
            except Exception as error:
                log.warning("locks_not_read", error=type(error).__name__)
        self._note(found, self._clock())
        return found


def _records(names: Iterable[str]) -> dict[str, tuple[Table, str] | None]:
    """The table and the id of each record that is locked by this name; None where there is no record."""
    parts = {name: name.partition(":") for name in names}
    return {name: (TABLES[kind], id) if kind in TABLES else None for name, (kind, _, id) in parts.items()}
