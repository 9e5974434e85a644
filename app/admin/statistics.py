"""The numbers of the overview: the cheap ones read for each page, the dear ones kept for seconds."""

import asyncio
import statistics
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Job
from ..plans import Catalogue
from ..service import Service
from ..sync import leases
from ..sync.catch_up import JOB as CATCH_UP
from ..sync.reconcile import JOB as RECONCILE
from . import statements

log = structlog.get_logger(__name__)
T = TypeVar("T")

CAP = 1000
"""Counts of what wants a hand stop here: nobody acts on the difference between 1,000 and 100,000."""
WINDOW_MINUTES = 60
SUBSCRIPTIONS_SECONDS, EVENTS_SECONDS = 60, 10
PATIENCE_SECONDS = 0.1
"""How long a page waits for numbers that are not there yet."""

MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
"""How many months an interval is."""


@dataclass(frozen=True, slots=True)
class Revenue:
    """A month's, in minor units, by currency. Discounts, taxes and metered prices are not in it."""

    paying: Mapping[str, int]
    trialing: Mapping[str, int]
    unpriced: int
    """Items without a price of one amount: tiers, metered, decimal."""


@dataclass(frozen=True, slots=True)
class SubscriptionFigures:
    by_status: Mapping[str, int]
    by_plan: Mapping[str, int]
    revenue: Revenue
    unlinked: int


@dataclass(frozen=True, slots=True)
class EventFigures:
    per_minute: tuple[int, ...]
    """The last hour, the newest minute last."""
    median_seconds: float | None
    """From `created` to applied, of the newest events of that hour."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """What waits, and since when in Unix seconds. Counts over CAP say only that there are more."""

    pending: int
    failed: int
    dead: int
    oldest_pending: int | None
    oldest_failed: int | None
    past_due: int
    needs_refresh: int
    spooled: int


@dataclass(frozen=True, slots=True)
class JobFigures:
    """What talks to Stripe now and then, as it last ran; no job: it never has."""

    catch_up: Job | None
    catch_up_seconds: float
    """How often it should; 0: not by itself."""
    reconcile: Job | None
    reconcile_hour: int | None


class Kept(Generic[T]):
    """Figures computed in the background, at most once in `seconds`; shown with their age."""

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
        """Compute them anew where they are too old; the task that does, if one is at it."""
        if self._clock() - self._at >= self._seconds and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._renew())
        return None if self._task is None or self._task.done() else self._task

    def last(self) -> tuple[T | None, int]:
        """The figures (None while they are computed for the first time) and their age in seconds."""
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
            # The page goes on with what it has; the next one tries again.
            log.warning("admin_figures_failed", error=type(error).__name__)


class KeptFigures:
    """The dear figures of one service."""

    def __init__(self, service: Service) -> None:
        self.subscriptions = Kept(lambda: subscription_figures(service), SUBSCRIPTIONS_SECONDS, service.clock)
        self.events = Kept(lambda: event_figures(service), EVENTS_SECONDS, service.clock)

    async def refresh(self) -> None:
        """See to it that they are not too old, and wait a moment for those that are being computed."""
        tasks = [task for task in (self.subscriptions.refresh(), self.events.refresh()) if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)

    async def close(self) -> None:
        """Stop counting: the database is about to be closed."""
        await self.subscriptions.close()
        await self.events.close()


async def subscription_figures(service: Service) -> SubscriptionFigures:
    """Over all subscriptions: seconds, where there are a million."""
    async with service.database.reading() as session:
        connection = await session.connection()
        counts = (await connection.execute(statements.BY_STATUS_AND_PRICE)).all()
        amounts = (await connection.execute(statements.amounts(connection.dialect.name))).all()
        unlinked = await _count(session, statements.UNLINKED)
    by_status: Counter[str] = Counter()
    by_plan: Counter[str] = Counter()
    for row in counts:
        by_status[row.status or "unknown"] += row.number
        by_plan[plan_name(service.limits.catalogue, row.plan_id)] += row.number
    return SubscriptionFigures(by_status, by_plan, revenue_of(amounts), unlinked)


def plan_name(catalogue: Catalogue, price_id: str | None) -> str:
    plan = catalogue.plan_of_price(price_id)
    return plan.id if plan else f"in no plan: {price_id or 'no price'}"


def revenue_of(rows: Any) -> Revenue:
    """A month's revenue from what the items cost an interval."""
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


async def event_figures(service: Service) -> EventFigures:
    """Of the last hour, which ends with this minute."""
    until = (int(service.clock()) // 60 + 1) * 60
    window = {"since": until - WINDOW_MINUTES * 60, "until": until}
    async with service.database.reading() as session:
        connection = await session.connection()
        counts = {row.minute: row.number for row in await connection.execute(statements.PER_MINUTE, window)}
        applied = await connection.execute(statements.APPLIED_AFTER, {"since": window["since"]})
        waits = [max(0, row.seconds) for row in applied]
    median = statistics.median(waits) if waits else None
    return EventFigures(tuple(counts.get(minute, 0) for minute in range(WINDOW_MINUTES)), median)


async def queue_figures(service: Service) -> QueueFigures:
    """Read from indexes of the few rows that wait."""
    async with service.database.reading() as session:
        count = {
            state: await _count(session, f"billing_event WHERE state = '{state}'")
            for state in ("pending", "failed", "dead")
        }
        return QueueFigures(
            **count,
            oldest_pending=await _scalar(session, statements.oldest("pending")),
            oldest_failed=await _scalar(session, statements.oldest("failed")),
            past_due=await _count(session, "billing_subscription WHERE status = 'past_due'"),
            needs_refresh=await _count(session, "billing_subscription WHERE needs_refresh")
            + await _count(session, "billing_customer WHERE needs_refresh"),
            spooled=len(await asyncio.to_thread(service.spool.waiting)),
        )


async def job_figures(service: Service) -> JobFigures | None:
    """None without a key for Stripe's API."""
    if service.stripe is None:
        return None
    return JobFigures(
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
