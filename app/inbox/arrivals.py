"""Counts how events arrive: webhooks that were accepted or refused, and events that only a catch-up brought.

Counted in memory and stored now and then, so that a flood of refused requests costs a write in ten seconds
and process. The numbers of all processes add up by the hour; the checks of webhooks read them.
"""

import time
from collections.abc import Callable
from typing import Final, Literal

from sqlalchemy import text
from sqlmodel import col, delete

from ..db import Database
from ..db.models import EventArrival

Way = Literal["webhook", "wrong-secret", "wrong-clock", "no-signature", "catch-up"]
"""`webhook`: accepted. `wrong-secret`, `wrong-clock`, `no-signature`: refused, and why."""
REFUSED: Final[tuple[Way, ...]] = ("wrong-secret", "wrong-clock", "no-signature")

HOUR = 3600
KEEP_SECONDS = 7 * 86_400
STORE_EVERY_SECONDS = 10.0

ADD = text(
    "INSERT INTO billing_event_arrival (hour, way, count, first_at, last_at) "
    "VALUES (:hour, :way, :count, :first_at, :last_at) "
    "ON CONFLICT (hour, way) DO UPDATE SET count = billing_event_arrival.count + excluded.count, "
    "first_at = CASE WHEN excluded.first_at < billing_event_arrival.first_at "
    "THEN excluded.first_at ELSE billing_event_arrival.first_at END, "
    "last_at = CASE WHEN excluded.last_at > billing_event_arrival.last_at "
    "THEN excluded.last_at ELSE billing_event_arrival.last_at END"
)


class Arrivals:
    """The counts of this process. `clock` gives Unix seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._counts: dict[tuple[int, Way], list[int]] = {}
        self._store_at = 0.0
        self._totals: dict[Way, int] = {}

    def note(self, way: Way, count: int = 1) -> None:
        """Count what arrived just now."""
        now = int(self._clock())
        self._totals[way] = self._totals.get(way, 0) + count
        self._add((now - now % HOUR, way), [count, now, now])

    def _add(self, key: tuple[int, Way], more: list[int]) -> None:
        known = self._counts.setdefault(key, [0, more[1], more[2]])
        known[:] = [known[0] + more[0], min(known[1], more[1]), max(known[2], more[2])]

    @property
    def refused_all(self) -> int:
        """How many webhooks this process has refused since it started; 0 if it has accepted any."""
        return 0 if self._totals.get("webhook") else sum(self._totals.get(way, 0) for way in REFUSED)

    async def store_when_due(self) -> None:
        """Store what was counted, unless that was done within the last seconds."""
        if self._counts and time.monotonic() >= self._store_at:
            self._store_at = time.monotonic() + STORE_EVERY_SECONDS
            await self.store()

    async def store(self) -> None:
        """Add what was counted to the table, and delete there what is old."""
        taken, self._counts = self._counts, {}
        if not taken:
            return
        before = int(self._clock()) - KEEP_SECONDS
        try:
            async with self._database.session() as session:
                connection = await session.connection()
                for (hour, way), (count, first_at, last_at) in sorted(taken.items()):  # always locked so
                    values = {"count": count, "first_at": first_at, "last_at": last_at}
                    await connection.execute(ADD, {"hour": hour, "way": way} | values)
                await connection.execute(delete(EventArrival).where(col(EventArrival.hour) < before))
        except BaseException:
            for key, counted in taken.items():  # it stays in memory until the database takes it
                self._add(key, counted)
            raise
