"""Background jobs that call Stripe: each in a task of its own, so that a slow answer delays no other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from ..backoff import has_come
from ..db import Database
from ..errors import ServiceError
from . import leases
from .account import AccountLookup
from .catch_up import CatchUp
from .checkout_sessions import CheckoutSessions
from .pending import PendingFetches
from .prices import PriceFetches
from .reconcile import JOB as RECONCILE
from .reconcile import Reconcile

log = structlog.get_logger(__name__)

REFRESH_EVERY_SECONDS = 1
EXPIRE_EVERY_SECONDS = 5
LOOK_EVERY_SECONDS = 30
MINUTE, HOUR = 60, 3600
RECONCILE_AGAIN_SECONDS = 20 * HOUR


class Schedule:
    """Fetches objects, expires checkout sessions, fetches prices hourly; catches up every few minutes,
    reconciles every night."""

    def __init__(
        self,
        database: Database,
        pending: PendingFetches,
        catch_up: CatchUp,
        reconcile: Reconcile,
        account: AccountLookup,
        sessions: CheckoutSessions,
        prices: PriceFetches,
        *,
        catch_up_minutes: float,
        reconcile_hour: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._pending = pending
        self._catch_up = catch_up
        self._reconcile = reconcile
        self._account = account
        self._sessions = sessions
        self._prices = prices
        self._catch_up_minutes = catch_up_minutes
        self._reconcile_hour = reconcile_hour
        self._clock = clock
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Run until stopped; an interrupted job is resumed by the next process that runs it."""
        try:
            await asyncio.gather(
                self._every(LOOK_EVERY_SECONDS, self._account.learn),
                self._every(REFRESH_EVERY_SECONDS, self._pending.refresh_due),
                self._every(EXPIRE_EVERY_SECONDS, self._sessions.expire_due),
                self._every(LOOK_EVERY_SECONDS, self.catch_up_when_due),
                self._every(LOOK_EVERY_SECONDS, self.reconcile_when_due),
                self._every(LOOK_EVERY_SECONDS, self._prices.refresh_when_due),
            )
        finally:
            self._stopped = asyncio.Event()  # it may run again, on another loop

    def stop(self) -> None:
        """Start no further job."""
        self._stopped.set()

    async def catch_up_when_due(self) -> None:
        if self._catch_up_minutes and await self._catch_up.is_due(self._catch_up_minutes * MINUTE):
            await self._catch_up.run()

    async def reconcile_when_due(self) -> None:
        now = self._clock()
        if datetime.fromtimestamp(now, UTC).hour != self._reconcile_hour:
            return
        job = await leases.load_job(self._database, RECONCILE)
        has_repaired = job is not None and (job.result or {}).get("repair")  # a look by hand does not
        repaired_at = job.finished_at if job is not None and has_repaired else None
        again = None if repaired_at is None else repaired_at + RECONCILE_AGAIN_SECONDS
        if again is None or has_come(again, now, within=RECONCILE_AGAIN_SECONDS + HOUR):
            await self._reconcile.run(repair=True)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while not self._stopped.is_set():
            name = getattr(work, "__name__", "")
            try:
                await work()
            except ServiceError as error:
                log.warning("job_waits", job=name, error=type(error).__name__)
            except Exception as error:
                log.error("job_failed", job=name, error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)
