"""Whether an event could be made durable now: by a write in the database and one in the spool, undone."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import structlog

from ..db import Database, Row
from ..db.migrations import Schema, read_schema, schema_of
from ..db.models import WebhookEvent, default_row, table_of
from .inbox import Inbox
from .spool import Spool

log = structlog.get_logger(__name__)

CHECK_AGAIN_SECONDS = 2.0
"""How long an answer holds: however many balancers ask, one write in so long is all that it costs."""
TIMEOUT_SECONDS = 2.0
"""How long database and spool are waited for, each."""
STOP_SECONDS = 3.0
"""How long the service waits for a trial when it stops: longer than a trial takes."""
TRIAL_BYTES = 8192
"""The size of the event that is written: most are smaller."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What would keep an event from being made durable, in sentences that name the remedy; None: nothing."""

    database: str | None = None
    spool: str | None = None
    is_behind: bool = False
    """Whether the database lacks a migration: what is not a webhook fails on it."""
    note: str | None = None
    """What is worth knowing of a database that works."""

    @property
    def status(self) -> Literal["ready", "degraded", "not ready"]:
        """`ready`; `degraded` while events go to the spool; `not ready`."""
        if self.database is None:
            return "ready"
        return "not ready" if self.is_behind or self.spool is not None else "degraded"


class _Counts(NamedTuple):
    """How many batches were committed, how many the database was not available for, and how many events the
    spool refused."""

    committed: int = 0
    unavailable: int = 0
    refused: int = 0


class ReadinessCheck:
    """Looks, for however many who ask at once, and remembers for a moment. `clock` gives seconds."""

    def __init__(
        self,
        database: Database,
        spool: Spool,
        inbox: Inbox | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._spool = spool
        self._clock = clock
        self._last = Readiness()
        self._looked_at: float | None = None
        self._counted = _Counts()
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self) -> Readiness:
        """How it stands, as of a moment ago at most."""
        if not self._holds():
            await self._look_once()
            if self._is_contradicted():  # while it was under way
                await self._look_once()
        return self._last

    async def stop(self) -> None:
        """End the trial that is under way, if one is: its connection must not outlive the database."""
        looking = self._looking
        if looking is None or looking.done() or looking.get_loop() is not asyncio.get_running_loop():
            return
        await asyncio.wait([looking], timeout=STOP_SECONDS)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    def _holds(self) -> bool:
        """Whether the last answer is young, and nothing contradicts it."""
        if self._looked_at is None or self._clock() - self._looked_at >= CHECK_AGAIN_SECONDS:
            return False
        return not self._is_contradicted()

    def _is_contradicted(self) -> bool:
        """Whether a batch, or an event for the spool, has contradicted the answer since its trial began."""
        now, then = self._count(), self._counted
        if self._last.spool is None and now.refused > then.refused:
            return True
        return (
            now.unavailable > then.unavailable
            if self._last.database is None
            else now.committed > then.committed
        )

    def _count(self) -> _Counts:
        inbox = self._inbox
        return _Counts(
            inbox.committed if inbox else 0, inbox.unavailable if inbox else 0, self._spool.refused
        )

    async def _look_once(self) -> None:
        """Look, or wait for the look that is under way."""
        looking = self._looking
        if looking is None or looking.done() or looking.get_loop() is not asyncio.get_running_loop():
            looking = self._looking = asyncio.create_task(self._look(), name="readiness")
        await asyncio.shield(looking)  # one who hangs up must not end it for the others

    async def _look(self) -> None:
        counted = self._count()
        (database, schema), spool = await asyncio.gather(self._try_database(), self._try_spool())
        behind = schema.problem if schema else None
        note = schema.note if schema and database is None else None
        before, self._last = self._last, Readiness(behind or database, spool, behind is not None, note)
        self._looked_at, self._counted = self._clock(), counted
        if self._inbox is not None and self._last.status != before.status:
            say = log.info if self._last.database is None else log.warning
            say("readiness_changed", status=self._last.status, database=self._last.database, spool=spool)

    async def _try_database(self) -> tuple[str | None, Schema | None]:
        """Why it takes no event, and its schema where that is known."""
        rows = {table_of(WebhookEvent): [_event()]}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return None, schema_of(await self._database.try_batch(Schema.QUERY, rows))
        except (OSError, TimeoutError) as error:
            return self._database.why_not_writable(error), None
        except Exception as error:
            return self._database.why_not_writable(error), await self._schema()

    async def _schema(self) -> Schema | None:
        """A database that lacks a migration refuses the write for that."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await read_schema(self._database)
        except Exception:
            return None

    async def _try_spool(self) -> str | None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._spool.check()
        except TimeoutError:
            return f"The disk of the spool does not answer within {TIMEOUT_SECONDS:g} s: look at it."


def _event() -> Row:
    """A row as of an event."""
    return default_row(WebhookEvent) | {
        "id": f"readiness_{uuid.uuid4().hex}",
        "type": "readiness",
        "body": "x" * TRIAL_BYTES,
        "received_at": int(time.time()),
        "state": "ignored",
    }
