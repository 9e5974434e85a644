"""The numbers of the first page."""

import asyncio
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from app.admin import statistics
from app.admin.statistics import CAP, Cached, revenue_of
from app.db.models import Subscription, WebhookEvent
from app.operations.event_destination import set_up_thin
from app.operations.webhook_endpoint import set_up
from app.simulator import DAY, Account
from app.simulator.api import API_KEY, ApiFaults, serving

from ..doctor.patient import URL
from .cases import CASES
from .visitor import START, Clock, logged_in, words

pytestmark = pytest.mark.postgresql_in_long


def row(
    status: str, unit: str | None, amount: int | None, units: int = 1, currency: str = "usd"
) -> SimpleNamespace:
    unpriced = 1 if amount is None else 0
    return SimpleNamespace(
        status=status, unit=unit, units=units, amount=amount, currency=currency, unpriced=unpriced
    )


def test_every_interval_is_made_a_month() -> None:
    rows = [
        row("active", "month", 1000),
        row("active", "year", 12_000),
        row("past_due", "month", 3000, units=3),
        row("active", "week", 1200, currency="eur"),
        row("active", "day", 100, currency="jpy"),
    ]
    revenue = revenue_of(rows)
    assert revenue.paying == {"usd": 3000, "eur": 5200, "jpy": 3042}
    assert revenue.trialing == {}


def test_trials_stand_apart_and_what_has_no_price_is_counted_apart() -> None:
    revenue = revenue_of(
        [
            row("trialing", "month", 900),
            row("trialing", "month", None),
            row("active", None, None),
            row("active", "month", None),
        ]
    )
    assert (revenue.paying, revenue.trialing, revenue.unpriced) == ({}, {"usd": 900}, 2)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a page shows its numbers."""
    monkeypatch.setattr(statistics, "TIMEOUT_SECONDS", 30)


async def test_the_overview_shows_revenue_by_currency_and_what_needs_attention(database_url: str) -> None:
    account = Account(seed=5, start=START - DAY)
    account.create_price("price_eur", 1000, currency="eur", interval="year")
    account.create_subscription(
        account.create_customer("a@example.com", user_id="a"), "price_team", quantity=3
    )
    account.create_subscription(
        account.create_customer("b@example.com", user_id="b"), "price_eur", quantity=6
    )
    account.create_subscription(account.create_customer("c@example.com"), "price_team", trial_days=14)
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        page = words(await visitor.open("/"))
        assert "87.00 USD" in page and "5.00 EUR" in page
        assert "In trials, not counted above: 29.00 USD" in page
        assert "Discounts, taxes and metered prices are left out" in page
        assert "Customers of no user 1 1 customer with a live subscription that is linked to no user:" in page
        assert "Dead events 0" in page


async def test_live_subscriptions_are_counted_by_plan_and_paying_ones_as_revenue(database_url: str) -> None:
    fixed = {"price_id": "price_team", "unit_amount": 2900, "currency": "usd", "interval": "month"}
    metered = {"price_id": "price_calls", "unit_amount": 7, "currency": "usd", "interval": "month"}
    async with logged_in(database_url) as (client, _):
        service = client.app.state.billing
        async with service.database.session() as session:
            for status in ("active", "past_due", "trialing", "canceled", "unpaid", "paused", "incomplete"):
                items = [fixed | {"quantity": 1}, metered | {"metered": True}]
                row = Subscription(id=f"sub_{status}", status=status, plan_id="price_team", items=items)
                session.add(row)
        figures = await statistics.read_subscription_statistics(service)
    assert figures.by_plan == {"team": 3}
    assert figures.revenue.paying == {"usd": 5800}
    assert figures.revenue.unpriced == 2, "the metered items of those that pay"


async def test_what_needs_attention_is_marked_and_links_to_where_it_is_fixed(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        for case in CASES:
            await case.prepare(case, client)
        page = await visitor.open("/")
        cards = page.split('<li class="card number ')[1:]
        marked = {words(card.split("<h2>")[1].split("</h2>")[0]): card.split('"')[0] for card in cards}
        assert marked["Dead events"] == "bad"
        assert marked["Customers of no user"] == "bad"
        assert marked["To be fetched again"] == marked["Past due"] == "warn"
        assert marked["Spool"] == marked["Failed events"] == ""
        for link in ("/events?state=dead", "/customers?linked=no", "/subscriptions?needs_refresh=yes"):
            assert f'href="/admin{link}"' in page
            assert "<tbody>" in await visitor.open(link)


@pytest.mark.parametrize(("seconds", "level"), [(300, ""), (301, "warn"), (86_400, "warn")])
async def test_a_median_lag_over_five_minutes_is_a_warning(
    sqlite_database: str, seconds: int, level: str
) -> None:
    async with logged_in(sqlite_database) as (client, visitor):
        now = int(client.app.state.billing.clock())
        async with client.app.state.billing.database.session() as session:
            session.add(
                WebhookEvent(
                    id="evt_late",
                    type="invoice.paid",
                    created=now - seconds,
                    received_at=now,
                    processed_at=now,
                    body="{}",
                    state="processed",
                )
            )
        cards = (await visitor.open("/")).split('<li class="card number ')[1:]
        (card,) = [each for each in cards if "From Stripe to here" in each]
        assert card.split('"')[0] == level


async def test_counts_stop_at_the_cap(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        event = WebhookEvent(id="", type="x", received_at=START, body="{}", state="dead")
        record = Subscription(id="", items=[])
        numbers = range(CAP + 5)
        async with client.app.state.billing.database.session() as session:
            connection = await session.connection()
            events = [event.model_dump() | {"id": f"evt_{number}"} for number in numbers]
            records = [
                record.model_dump() | {"id": f"sub_{number}", "needs_refresh": number < 3}
                for number in numbers
            ]
            await connection.execute(insert(WebhookEvent), events)
            await connection.execute(insert(Subscription), records)
        page = words(await visitor.open("/"))
        assert "Dead events 1,000+" in page
        assert "To be fetched again 3" in page


async def statistics_of(cached: Cached[int]) -> tuple[int | None, int]:
    """As a page gets them."""
    if task := cached.refresh():
        await asyncio.wait([task], timeout=0.05)
    return cached.last()


async def test_slow_statistics_are_computed_once_and_cached() -> None:
    clock, computed = Clock(), 0

    async def compute() -> int:
        nonlocal computed
        computed += 1
        return computed

    cached = Cached(compute, 60, clock)
    assert await statistics_of(cached) == (1, 0)
    clock.now += 59
    assert await statistics_of(cached) == (1, 59)
    clock.now += 1
    assert await statistics_of(cached) == (2, 0)
    clock.now -= 86_400
    assert await statistics_of(cached) == (3, 0), "they are of a time that has not come"
    await cached.close()


async def test_a_page_does_not_wait_for_statistics_that_take_long() -> None:
    going_on = asyncio.Event()

    async def compute() -> int:
        await going_on.wait()
        return 7

    cached = Cached(compute, 60, Clock())
    assert await statistics_of(cached) == (None, 0)
    going_on.set()
    await asyncio.sleep(0)
    assert await statistics_of(cached) == (7, 0)


async def test_statistics_that_fail_leave_the_last_ones_and_are_tried_again() -> None:
    clock, answers = Clock(), iter([1, None, 3])

    async def compute() -> int:
        answer = next(answers)
        if answer is None:
            raise RuntimeError("the database went away")
        return answer

    cached = Cached(compute, 60, clock)
    assert await statistics_of(cached) == (1, 0)
    clock.now += 61
    assert await statistics_of(cached) == (1, 61)
    assert await statistics_of(cached) == (3, 0)


@pytest.mark.parametrize("status", ["failed", "pending"])
async def test_an_event_that_waits_too_long_is_marked_with_its_age(sqlite_database: str, status: str) -> None:
    async with logged_in(sqlite_database) as (client, visitor):
        async with client.app.state.billing.database.session() as session:
            due = START + 9 * DAY if status == "failed" else None
            event = WebhookEvent(id="evt_1", type="x", received_at=START - DAY, body="{}", state=status)
            event.next_attempt_at = due
            session.add(event)
        page = words(await visitor.open("/"))
        assert "the oldest for 24 h" in page


async def test_the_overview_shows_what_sends_events_at_stripe(database_url: str) -> None:
    account = Account(1, start=START)
    async with serving(account) as base_url:
        key = SecretStr(API_KEY)
        async with logged_in(database_url, stripe_api_key=key, stripe_api_base=base_url) as (client, visitor):
            api = client.app.state.billing.stripe
            endpoint = (await set_up(api, URL, livemode=None)).endpoint_id
            thin = (await set_up_thin(api, URL, livemode=None)).endpoint_id
            account.destinations[thin].enabled_events.pop()
            account.destinations[thin].status = "disabled"
            page = words(await visitor.open("/"))
    assert f"{endpoint} {URL} snapshot enabled all handled types" in page
    assert f"{thin} {URL} thin disabled 1 handled type is not sent" in page


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("none", "No webhook endpoint and no event destination: no event arrives"),
        ("refused", "They are not listed: Stripe does not accept STRIPE_API_KEY for this."),
        ("down", "They are not listed: Stripe cannot be reached now"),
    ],
)
async def test_the_overview_says_why_nothing_sends_events(
    sqlite_database: str, prepare: str, says: str
) -> None:
    faults = ApiFaults()
    async with serving(Account(1, start=START), faults=faults) as base_url:
        key = SecretStr(API_KEY if prepare != "refused" else "sk_test_unknown_at_stripe")
        async with logged_in(sqlite_database, stripe_api_key=key, stripe_api_base=base_url) as (_, visitor):
            if prepare == "down":
                faults.next("error", 9)
            assert says in words(await visitor.open("/"))


async def test_without_a_key_the_overview_does_not_speak_of_endpoints(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        assert "sends events" not in await visitor.open("/")
