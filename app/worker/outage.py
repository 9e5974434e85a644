"""The alert that the database takes no events. Each process that sees it sends it, without the database."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ..inbox.readiness import Readiness
from ..inbox.spool import Spool
from ..reactions.outbox import Outbox
from ..signals import Reaction, database_down

log = structlog.get_logger(__name__)

CHECK_EVERY_SECONDS = 20.0
"""Each time a row is written, and rolled back."""
ANNOUNCE_AFTER_SECONDS = 60
"""A database that is restarted is back by then."""


class OutageAlert:
    """Announces each outage once. `readiness` looks at the database; `clock` gives Unix seconds."""

    def __init__(
        self,
        readiness: Callable[[], Awaitable[Readiness]],
        outbox: Outbox,
        spool: Spool,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._readiness = readiness
        self._outbox = outbox
        self._spool = spool
        self._clock = clock
        self._since: int | None = None
        self._announced: Reaction | None = None
        self._failed: set[str] = set()
        """The durable receivers that have not taken what was announced."""

    async def run(self) -> None:
        """Check again and again until cancelled."""
        while True:
            try:
                await self.check()
            except Exception as error:
                log.warning("outage_check_failed", error=type(error).__name__)
            await asyncio.sleep(CHECK_EVERY_SECONDS)

    async def check(self) -> None:
        """Look at the database, and announce an outage that lasts; call again the receivers that failed."""
        found = await self._readiness()
        if found.database is None:
            self._since, self._announced = None, None
            return
        now = int(self._clock())
        self._since = min(self._since or now, now)
        if self._announced is not None:
            if self._failed:
                self._failed = await self._outbox.call_durable(self._announced, self._failed)
        elif now - self._since >= ANNOUNCE_AFTER_SECONDS:
            self._announced = await self._reaction(self._since, found)
            self._outbox.announce([self._announced])
            self._failed = await self._outbox.call_durable(self._announced)

    async def _reaction(self, since: int, found: Readiness) -> Reaction:
        facts = {"since": since, "reason": found.database, "spool": found.spool or await self._waiting()}
        return Reaction(
            id=f"{database_down.name}:{since}", signal=database_down.name, at=int(self._clock()), facts=facts
        )

    async def _waiting(self) -> str:
        return f"Events that wait in the spool until then: {(await self._spool.count()).files}."
