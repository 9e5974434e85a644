"""The numbers of the overview: fast queries run for each page, slow ones are cached for some seconds."""

import asyncio
import statistics
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ..backoff import has_come
from ..checks.finding import LIVE
from ..db.manual import TO_REFRESH
from ..db.models import Job
from ..errors import ServiceError
from ..limits.prices import known_prices
from ..operations.checks import Found, check_service
from ..operations.event_sources import EventSources, list_event_sources
from ..plans import PriceList
from ..service import Service
from ..sync import leases
from ..sync.catch_up import JOB as CATCH_UP
from ..sync.reconcile import JOB as RECONCILE
from . import statements

log = structlog.get_logger(__name__)
T = TypeVar("T")

CAP = 1000
"""Counts of what needs attention stop here: 1,000 and 100,000 call for the same action."""
WINDOW_MINUTES = 60
SUBSCRIPTIONS_SECONDS, EVENTS_SECONDS, SOURCES_SECONDS = 60, 10, 300
TIMEOUT_SECONDS = 0.1
"""How long a page waits for slow numbers that are not computed yet."""

MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
"""The length of an interval in months."""


@dataclass(frozen=True, slots=True)
class Revenue:
    """Monthly revenue in minor units, by currency, without discounts, taxes and metered prices."""

    paying: Mapping[str, int]
    trialing: Mapping[str, int]
    unpriced: int
    """Items that are metered, or without a fixed price: tiered, decimal."""


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    by_status: Mapping[str, int]
    by_plan: Mapping[str, int]
    """The live ones: active, trialing, past due."""
    revenue: Revenue
    found: Found
    """What the checks found that read every subscription."""


@dataclass(frozen=True, slots=True)
class EventStatistics:
    per_minute: tuple[int, ...]
    """Events of each minute of the last hour, oldest first."""
    median_seconds: float | None
    """From `created` to applied, over the newest events of that hour."""


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """What waits, and since when (Unix seconds). A count above CAP means only that there are more."""

    pending: int
    failed: int
    dead: int
    oldest_pending: int | None
    oldest_failed: int | None
    past_due: int
    needs_refresh: int
    spooled: int


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """The last run of each periodic job that calls Stripe; None: it has never run."""

    catch_up: Job | None
    catch_up_seconds: float
    """The interval at which it should run; 0: only on command."""
    reconcile: Job | None
    reconcile_hour: int | None


class Cached(Generic[T]):
    """A value computed in the background, at most once in `seconds`, and shown with its age."""

    def __init__(
        self, compute: Callable[[], Awaitable[T]], seconds: float, clock: Callable[[], float]
    ) -> None:
        self._compute = compute
        self._seconds = seconds
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._value: T | None = None
        self._at = float("-inf")

    def refresh(self) -> asyncio.Task[None] | None:
        """Start to compute the value again if it is too old. Returns the running task, if there is one."""
        is_old = has_come(self._at + self._seconds, self._clock(), within=self._seconds)
        if is_old and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._renew())
        return None if self._task is None or self._task.done() else self._task

    def last(self) -> tuple[T | None, int]:
        """The value (None until it is computed for the first time) and its age in seconds."""
        return self._value, max(0, int(self._clock() - self._at)) if self._value is not None else 0

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self) -> None:
        began = self._clock()
        try:
            self._value, self._at = await self._compute(), began
        except Exception as error:
            # The page shows the last value; the next page tries again.
            log.warning("admin_statistics_failed", error=type(error).__name__)


class CachedStatistics:
    """The slow statistics of one service."""

    def __init__(self, service: Service) -> None:
        self.subscriptions = Cached(
            lambda: read_subscription_statistics(service), SUBSCRIPTIONS_SECONDS, service.clock
        )
        self.events = Cached(lambda: read_event_statistics(service), EVENTS_SECONDS, service.clock)
        self.sources = Cached(lambda: read_event_sources(service), SOURCES_SECONDS, service.clock)

    async def refresh(self) -> None:
        """Start to compute what is too old, and wait at most TIMEOUT_SECONDS for it."""
        started = (each.refresh() for each in (self.subscriptions, self.events, self.sources))
        tasks = [task for task in started if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Cancel what is being computed, before the database is closed."""
        await self.subscriptions.close()
        await self.events.close()
        await self.sources.close()


async def read_event_sources(service: Service) -> EventSources:
    """What sends events at Stripe; without a key for its API nothing."""
    if service.stripe is None:
        return EventSources(())
    try:
        return await list_event_sources(service.stripe)
    except ServiceError as error:
        return EventSources((), error.detail)


async def read_subscription_statistics(service: Service) -> SubscriptionStatistics:
    """Count all subscriptions. Takes seconds with a million of them."""
    async with service.database.reading() as session:
        connection = await session.connection()
        counts = (await connection.execute(statements.BY_STATUS_AND_PRICE)).all()
        amounts = (await connection.execute(statements.amounts(connection.dialect.name))).all()
        known = await known_prices(connection, {row.plan_id for row in counts if row.plan_id})
    prices = PriceList(service.limits.catalogue, known)
    by_status: Counter[str] = Counter()
    by_plan: Counter[str] = Counter()
    for row in counts:
        by_status[row.status or "unknown"] += row.number
        if row.status in LIVE:
            by_plan[plan_name(prices, row.plan_id)] += row.number
    found = await check_service(service, slow=True)
    return SubscriptionStatistics(by_status, by_plan, revenue_of(amounts), found)


def plan_name(prices: PriceList, price_id: str | None) -> str:
    plan = prices.plan(price_id)
    return plan.id if plan else f"in no plan: {price_id or 'no price'}"


def revenue_of(rows: Any) -> Revenue:
    """Monthly revenue from what the items cost per interval."""
    totals: dict[bool, dict[str, Fraction]] = {True: defaultdict(Fraction), False: defaultdict(Fraction)}
    unpriced = 0
    for row in rows:
        months = MONTHS.get(row.unit or "", Fraction(0)) * int(row.units or 1)
        if row.status != "trialing":
            unpriced += int(row.unpriced or 0)
        if months and row.amount is not None:
            totals[row.status == "trialing"][row.currency or "?"] += Fraction(int(row.amount)) / months
    paying, trialing = (
        {currency: round(amount) for currency, amount in sorted(totals[trial].items())}
        for trial in (False, True)
    )
    return Revenue(paying, trialing, unpriced)


async def read_event_statistics(service: Service) -> EventStatistics:
    """Events of the last hour, up to and including the current minute."""
    until = (int(service.clock()) // 60 + 1) * 60
    window = {"since": until - WINDOW_MINUTES * 60, "until": until}
    async with service.database.reading() as session:
        connection = await session.connection()
        counts = {row.minute: row.number for row in await connection.execute(statements.PER_MINUTE, window)}
        applied = await connection.execute(statements.APPLIED_AFTER, {"since": window["since"]})
        waits = [max(0, row.seconds) for row in applied]
    median = statistics.median(waits) if waits else None
    return EventStatistics(tuple(counts.get(minute, 0) for minute in range(WINDOW_MINUTES)), median)


async def read_queue_statistics(service: Service) -> QueueStatistics:
    """Read from partial indexes, which hold only the rows that wait."""
    async with service.database.reading() as session:
        count = {
            state: await _count(session, f"billing_event WHERE state = '{state}'")
            for state in ("pending", "failed", "dead")
        }
        return QueueStatistics(
            **count,
            oldest_pending=await _scalar(session, statements.oldest("pending")),
            oldest_failed=await _scalar(session, statements.oldest("failed")),
            past_due=await _count(session, "billing_subscription WHERE status = 'past_due'"),
            needs_refresh=await _count(session, TO_REFRESH["subscription"])
            + await _count(session, TO_REFRESH["customer"]),
            spooled=len(await asyncio.to_thread(service.spool.waiting)),
        )


async def read_job_statistics(service: Service) -> JobStatistics | None:
    """None without a key for Stripe's API."""
    if service.stripe is None:
        return None
    return JobStatistics(
        await leases.load_job(service.database, CATCH_UP),
        service.settings.catch_up_minutes * 60,
        await leases.load_job(service.database, RECONCILE),
        service.settings.reconcile_hour,
    )


async def _count(session: AsyncSession, what: str) -> int:
    return await _scalar(session, statements.capped(what, CAP)) or 0


async def _scalar(session: AsyncSession, statement: Any) -> int | None:
    value: int | None = await (await session.connection()).scalar(statement)
    return value
