"""The first page: how many, how much, how fast, and what wants a hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from .. import COMMAND
from ..db.models import Job
from ..sync.leases import has_failed
from . import charts, statistics
from .formatting import day, duration, money, number
from .page import Admin
from .statistics import CAP, EventStatistics, JobStatistics, QueueStatistics, SubscriptionStatistics

STATUS_TONES = {
    "active": "good",
    "trialing": "calm",
    "past_due": "warn",
    "unpaid": "bad",
    "incomplete": "warn",
}
OLD_SECONDS = 15 * 60
"""A pending event older than this waits for somebody."""
MISSED = 4
"""A catch-up that was due so many times did not run."""
RECONCILE_SECONDS = 30 * 3600
"""A nightly reconcile older than this missed its night; one that takes hours did not."""

MAX_NAMED = 3
"""How many prices a card names."""

Level = Literal["", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Overview:
    """All that cards are made from; None where it is still being counted."""

    queue: QueueStatistics
    events: EventStatistics | None
    subscriptions: SubscriptionStatistics | None
    jobs: JobStatistics | None
    """None: without a key for Stripe's API there are none."""
    now: int


@dataclass(frozen=True, slots=True)
class Card:
    """One number. `link` leads to where it is mended."""

    title: str
    value: str
    note: str = ""
    level: Level = ""
    link: str | None = None


def dead(overview: Overview) -> Card:
    count = overview.queue.dead
    note = "gave up after 3 days: mend the cause, then replay" if count else "no event was given up"
    return Card("Dead events", capped(count), note, "bad" if count else "", "/events?state=dead")


def failed(overview: Overview) -> Card:
    count, oldest = overview.queue.failed, overview.queue.oldest_failed
    note = f"retried by themselves, the oldest for {duration(overview.now - (oldest or 0))}"
    return Card(
        "Failed events",
        capped(count),
        note if count else "none",
        "warn" if count else "",
        "/events?state=failed",
    )


def deferred(overview: Overview) -> Card:
    count, oldest = overview.queue.pending, overview.queue.oldest_pending
    age = overview.now - oldest if oldest is not None else 0
    note = f"wait to be read from Stripe, the oldest for {duration(age)}" if count else "none"
    level: Level = "bad" if age > OLD_SECONDS else ""
    return Card("Deferred events", capped(count), note, level, "/events?state=pending")


def spooled(overview: Overview) -> Card:
    count = overview.queue.spooled
    note = (
        "on this machine's disk: the database could not take them"
        if count
        else "the database takes all events"
    )
    return Card("Spool", number(count), note, "bad" if count else "")


def needs_refresh(overview: Overview) -> Card:
    count = overview.queue.needs_refresh
    note = (
        "the events alone do not settle them: to be read from Stripe" if count else "every record is settled"
    )
    return Card(
        "To be re-read", capped(count), note, "warn" if count else "", "/subscriptions?needs_refresh=yes"
    )


def past_due(overview: Overview) -> Card:
    count = overview.queue.past_due
    note = "a payment failed; access ends with the grace" if count else "every payment went through"
    return Card("Past due", capped(count), note, "warn" if count else "", "/subscriptions?status=past_due")


def unlinked(overview: Overview) -> Card:
    if overview.subscriptions is None:
        return Card("Customers of no user", "…", "is being counted")
    count = overview.subscriptions.unlinked
    note = "pay, and nobody gets what they pay for: link them" if count else "every subscription has its user"
    return Card("Customers of no user", capped(count), note, "bad" if count else "", "/customers?linked=no")


def unmapped(overview: Overview) -> Card:
    if overview.subscriptions is None:
        return Card("Prices in no plan", "…", "is being counted")
    prices = overview.subscriptions.unmapped
    named = ", ".join(prices[:MAX_NAMED]) + (" and others" if len(prices) > MAX_NAMED else "")
    remedy = f"{named}: add each to a plan, an add-on or [ignored] in the plans file (see doctor)"
    note = remedy if prices else "every price in use is in a plan, or ignored"
    return Card("Prices in no plan", number(len(prices)), note, "bad" if prices else "")


def speed(overview: Overview) -> Card:
    if overview.events is None:
        return Card("From Stripe to here", "…", "is being counted")
    note = "median from an event's “created” to applied, last hour"
    return Card("From Stripe to here", duration(overview.events.median_seconds), note)


def caught_up(overview: Overview) -> Card:
    if overview.jobs is None:
        return Card("Last catch-up", "not set up", "without STRIPE_API_KEY nobody asks for lost events")
    every = overview.jobs.catch_up_seconds
    return _job("catch-up", overview.jobs.catch_up, overview.now, MISSED * every, _caught)


def _caught(result: Mapping[str, Any]) -> tuple[str, Level]:
    missing = int(result["missing"])
    if missing:
        return f"{missing:,} events had never arrived, and were taken in", "warn"
    return f"no event was lost; {result['listed']:,} looked at", ""


def reconciled(overview: Overview) -> Card:
    if overview.jobs is None:
        return Card("Last reconcile", "not set up", "without STRIPE_API_KEY nobody compares with Stripe")
    nightly = overview.jobs.reconcile_hour is not None
    return _job(
        "reconcile", overview.jobs.reconcile, overview.now, RECONCILE_SECONDS if nightly else 0, _compared
    )


def _compared(result: Mapping[str, Any]) -> tuple[str, Level]:
    compared, differing, repaired = (int(result[name]) for name in ("compared", "differing", "repaired"))
    if not differing:
        return f"{compared:,} records are as Stripe has them", ""
    rest = differing - repaired
    note = f"{differing:,} of {compared:,} records differed"
    if not rest:
        return f"{note}; all repaired", "warn"
    return f"{note}, {rest:,} still do: “{COMMAND} reconcile” names them", "bad"


def _job(
    name: str,
    job: Job | None,
    now: int,
    late: float,
    told: Callable[[Mapping[str, Any]], tuple[str, Level]],
) -> Card:
    """When it last came to its end and with what; `late` is the age in seconds at which it is red, or 0."""
    title = f"Last {name}"
    if job is None or job.started_at is None:
        return Card(title, "never", f"“{COMMAND} {name}” runs it now", "warn")
    ended = job.finished_at
    age = "never" if ended is None else f"{duration(now - ended)} ago"
    if has_failed(job, now):
        note = f"begun {day(job.started_at)}, and not come to its end: the log says why"
        return Card(title, age, note, "bad")
    if ended is None or job.result is None:
        return Card(title, "under way", f"since {day(job.started_at)}")
    if late and now - ended > late:
        return Card(title, age, f"{day(ended)}: it should have run since", "bad")
    note, level = told(job.result)
    return Card(title, age, f"{day(ended)}: {note}", level)


CARDS: tuple[Callable[[Overview], Card], ...] = (
    dead,
    failed,
    deferred,
    unlinked,
    unmapped,
    needs_refresh,
    past_due,
    spooled,
    speed,
    caught_up,
    reconciled,
)
"""Every card of the page, in its order: a new one is a function from the figures to a Card."""


async def overview_page(admin: Admin, request: Request) -> Response:
    """`/admin/`."""
    overview, age = await _read(admin)
    return admin.render(
        request,
        "overview.html",
        cards=[card(overview) for card in CARDS],
        age=age,
        counting=overview.subscriptions is None or overview.events is None,
        **_charts(overview),
    )


async def _read(admin: Admin) -> tuple[Overview, int]:
    await admin.statistics.refresh()
    subscriptions, age = admin.statistics.subscriptions.last()
    events, _ = admin.statistics.events.last()
    queue = await statistics.read_queue_statistics(admin.service)
    jobs = await statistics.read_job_statistics(admin.service)
    return Overview(queue, events, subscriptions, jobs, int(admin.service.clock())), age


def _charts(overview: Overview) -> dict[str, Any]:
    subscriptions, events = overview.subscriptions, overview.events
    drawn: dict[str, Any] = {}
    if events is not None:
        total = sum(events.per_minute)
        drawn["events"] = charts.columns(events.per_minute, f"{total} events in an hour")
        drawn["event_most"] = max(events.per_minute)
        drawn["event_total"] = total
    if subscriptions is not None:
        revenue = subscriptions.revenue
        drawn["statuses"] = charts.bars(subscriptions.by_status, STATUS_TONES)
        drawn["plans"] = charts.bars(subscriptions.by_plan)
        drawn["paying"] = [money(amount, currency) for currency, amount in revenue.paying.items()]
        drawn["trialing"] = [money(amount, currency) for currency, amount in revenue.trialing.items()]
        drawn["unpriced"] = revenue.unpriced
    return drawn


def capped(count: int) -> str:
    """A count that was taken no further than CAP."""
    return f"{CAP:,}+" if count > CAP else f"{count:,}"
