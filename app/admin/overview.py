"""The first page: how many, how much, how fast, and what needs attention."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from .. import COMMAND
from ..checks import Finding
from ..db.models import Job
from ..operations.checks import Found, check_service
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
LATE_SECONDS = 300
"""A median lag above this is a warning; the alert BillingEventsLate has the same bound."""
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
    found: Found
    """What the catalogue's checks found, but for those that are still being counted."""
    now: int

    def faults(self, *checks: str) -> list[Finding]:
        """The errors and warnings of these checks."""
        return [
            each
            for check in checks
            for each in self.found.get(check, ())
            if each.level in ("error", "warning")
        ]

    def level(self, *checks: str) -> Level:
        """How bad it is, by the worst that these checks found."""
        levels = {each.level for each in self.faults(*checks)}
        return "bad" if "error" in levels else "warn" if levels else ""

    def note(self, *checks: str) -> str:
        """What these checks found, with the remedies; empty where nothing is wrong."""
        return " ".join(f"{each.what} {each.remedy}" for each in self.faults(*checks))


@dataclass(frozen=True, slots=True)
class Card:
    """One number. `link` leads to where it is fixed."""

    title: str
    value: str
    note: str = ""
    level: Level = ""
    link: str | None = None


def dead(overview: Overview) -> Card:
    note = overview.note("dead-events") or "no event was given up"
    level = overview.level("dead-events")
    return Card("Dead events", capped(overview.queue.dead), note, level, "/events?state=dead")


def failed(overview: Overview) -> Card:
    count = overview.queue.failed
    note = f"retried by themselves, {_oldest(overview, overview.queue.oldest_failed)}" if count else "none"
    if fault := overview.note("failing-events"):
        note = f"{_oldest(overview, overview.queue.oldest_failed)}. {fault}"
    level = overview.level("failing-events")
    return Card("Failed events", capped(count), note, level, "/events?state=failed")


def deferred(overview: Overview) -> Card:
    count = overview.queue.pending
    oldest = _oldest(overview, overview.queue.oldest_pending)
    note = f"wait to be fetched from Stripe, {oldest}" if count else "none"
    if fault := overview.note("thin-events"):
        note = f"{oldest}. {fault}"
    level = overview.level("thin-events")
    return Card("Deferred events", capped(count), note, level, "/events?state=pending")


def _oldest(overview: Overview, received_at: int | None) -> str:
    return f"the oldest for {duration(overview.now - (received_at or overview.now))}"


def spooled(overview: Overview) -> Card:
    note = overview.note("spool", "spool-waiting") or "the database takes all events"
    return Card("Spool", number(overview.queue.spooled), note, overview.level("spool", "spool-waiting"))


def needs_refresh(overview: Overview) -> Card:
    note = overview.note("needs-refresh") or "the events determine every record"
    count, level = capped(overview.queue.needs_refresh), overview.level("needs-refresh")
    return Card("To be fetched again", count, note, level, "/subscriptions?needs_refresh=yes")


def past_due(overview: Overview) -> Card:
    count = overview.queue.past_due
    note = "a payment failed; access ends with the grace" if count else "every payment went through"
    return Card("Past due", capped(count), note, "warn" if count else "", "/subscriptions?status=past_due")


def unlinked(overview: Overview) -> Card:
    if overview.subscriptions is None:
        return Card("Customers of no user", "…", "is being counted")
    count = sum(len(each.ids) for each in overview.found.get("unlinked-customers", ()))
    note = overview.note("unlinked-customers") or "every live subscription has its user"
    level = overview.level("unlinked-customers")
    return Card("Customers of no user", capped(count), note, level, "/customers?linked=no")


def unmapped(overview: Overview) -> Card:
    if overview.subscriptions is None:
        return Card("Prices in no plan", "…", "is being counted")
    faults = overview.faults("prices-in-use")
    said = [f"{each.what} {each.remedy}" for each in faults[:MAX_NAMED]]
    if len(faults) > MAX_NAMED:
        said.append(f"`{COMMAND} doctor` names the {len(faults) - MAX_NAMED} others.")
    note = " ".join(said) or "every price in use is in a plan, or ignored"
    return Card("Prices in no plan", number(len(faults)), note, overview.level("prices-in-use"))


def speed(overview: Overview) -> Card:
    if overview.events is None:
        return Card("From Stripe to here", "…", "is being counted")
    note = "median time from an event's creation at Stripe until it was applied, last hour"
    lag = overview.events.median_seconds
    late = lag is not None and lag > LATE_SECONDS
    if late:
        note += (
            ". Events arrive late: look at the webhook endpoint in Stripe's Dashboard, and at the backlog."
        )
    return Card("From Stripe to here", duration(lag), note, "warn" if late else "")


def caught_up(overview: Overview) -> Card:
    if overview.jobs is None:
        return Card("Last catch-up", "not set up", "without STRIPE_API_KEY lost events are not fetched")
    return _job("catch-up", overview.jobs.catch_up, overview, _caught, "catch-up")


def _caught(result: Mapping[str, Any]) -> str:
    if missing := int(result["missing"]):
        return f"{missing:,} events had never arrived, and were fetched"
    return f"no event was lost; {result['listed']:,} compared"


def reconciled(overview: Overview) -> Card:
    if overview.jobs is None:
        return Card(
            "Last reconcile", "not set up", "without STRIPE_API_KEY records are not compared with Stripe"
        )
    return _job("reconcile", overview.jobs.reconcile, overview, _compared, "reconcile", "differences")


def _compared(result: Mapping[str, Any]) -> str:
    compared, differing = int(result["compared"]), int(result["differing"])
    if not differing:
        return f"{compared:,} records are as Stripe has them"
    return f"{differing:,} of {compared:,} records differed; all repaired"


def _job(
    name: str,
    job: Job | None,
    overview: Overview,
    result_note: Callable[[Mapping[str, Any]], str],
    *checks: str,
) -> Card:
    """When it last finished and with what; what its checks found."""
    title, level, fault = f"Last {name}", overview.level(*checks), overview.note(*checks)
    if job is None or job.started_at is None:
        return Card(title, "never", fault or f"“{COMMAND} {name}” runs it now", level)
    ended = job.finished_at
    age = "never" if ended is None else f"{duration(overview.now - ended)} ago"
    if fault:
        return Card(title, age, f"started {day(job.started_at)}: {fault}", level)
    if ended is None or job.result is None:
        return Card(title, "under way", f"since {day(job.started_at)}")
    return Card(title, age, f"{day(ended)}: {result_note(job.result)}")


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
OF_CARDS = {
    "catch-up",
    "dead-events",
    "differences",
    "failing-events",
    "needs-refresh",
    "prices-in-use",
    "reconcile",
    "spool",
    "spool-waiting",
    "thin-events",
    "unlinked-customers",
}
"""The checks that have a card of their own; of the others there is one where they find something."""


def other_faults(overview: Overview) -> list[Card]:
    names = [name for name in overview.found if name not in OF_CARDS]
    return [
        Card(each.title, each.level, overview.note(name), overview.level(name))
        for name in names
        for each in overview.faults(name)[:1]
    ]


async def overview_page(admin: Admin, request: Request) -> Response:
    """`/admin/`."""
    overview, age = await _read(admin)
    return admin.render(
        request,
        "overview.html",
        cards=[*other_faults(overview), *(card(overview) for card in CARDS)],
        age=age,
        counting=overview.subscriptions is None or overview.events is None,
        sources=admin.statistics.sources.last()[0] if admin.service.stripe is not None else None,
        has_stripe_key=admin.service.stripe is not None,
        **_charts(overview),
    )


async def _read(admin: Admin) -> tuple[Overview, int]:
    await admin.statistics.refresh()
    subscriptions, age = admin.statistics.subscriptions.last()
    events, _ = admin.statistics.events.last()
    queue = await statistics.read_queue_statistics(admin.service)
    jobs = await statistics.read_job_statistics(admin.service)
    found = dict(await check_service(admin.service, slow=False)) | dict(
        subscriptions.found if subscriptions else {}
    )
    return Overview(queue, events, subscriptions, jobs, found, int(admin.service.clock())), age


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
