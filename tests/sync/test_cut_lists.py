"""Nested lists of which Stripe shows the first ten: a key fetches the rest, and nothing is lowered."""

from dataclasses import replace

import pytest

from app.db.models import Subscription
from app.operations.checks import check_service
from app.simulator import DAY, Account, truth
from app.simulator.api import API_KEY, serving
from app.simulator.model import Price
from app.stripe.client import StripeApi
from app.sync.pending import UNCHANGED_SECONDS

from ..client import running
from ..records import stored
from .conftest import Beside, Start

pytestmark = pytest.mark.postgresql_in_long

METERS = 12


def account_with_many_items() -> tuple[Account, str]:
    """A subscription whose plan is the last of its items."""
    account = Account(1)
    meters = [f"price_meter_{number}" for number in range(METERS)]
    for meter in meters:
        account.prices[meter] = Price(meter, 1)
    subscription = account.create_subscription(
        account.create_customer(user_id="ada"), (*meters, "price_team"), quantity=3
    )
    return account, subscription.id


async def plan_of(both: Beside) -> str:
    plan: str = (await both.client.read("/internal/users/ada/entitlements"))["plan"]
    return plan


async def refresh(both: Beside) -> None:
    for _ in range(20):
        both.account.advance(UNCHANGED_SECONDS + 1)
        if not await both.refresh():
            return
    raise AssertionError("there is always more to read")


@pytest.mark.parametrize("backwards", [False, True])
async def test_what_was_cut_is_fetched_page_by_page(
    database_url: str, beside: Start, backwards: bool
) -> None:
    account, id = account_with_many_items()
    async with beside(database_url, account) as both:
        events = account.events[::-1] if backwards else account.events
        assert set(await both.client.deliver(*events)) <= {"processed", "ignored"}
        assert await plan_of(both) == "free", "the plan is not among the first ten"
        assert (await both.client.read(f"/internal/subscriptions/{id}"))["needs_refresh"]
        await refresh(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        assert not (await both.client.read(f"/internal/subscriptions/{id}"))["needs_refresh"]
        assert await plan_of(both) == "team"
        asked = both.traffic.by_route
        assert asked["GET /v1/subscription_items"] and asked["GET /v1/invoices/{id}/lines"]


async def test_a_later_event_with_a_cut_list_takes_nothing_back(database_url: str, beside: Start) -> None:
    account, id = account_with_many_items()
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        await refresh(both)
        before = len(account.events)
        account.advance(60)
        account.set_metadata(account.subscriptions[id], tier="a")
        await both.client.deliver(*account.events[before:])
        record = await both.client.read(f"/internal/subscriptions/{id}")
        assert (record["needs_refresh"], record["plan_id"], record["quantity"]) == (True, "price_team", 3)
        assert len(record["items"]) == METERS + 1
        assert await plan_of(both) == "team"
        await refresh(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


async def test_reconcile_compares_whole_lists_and_imports_them(database_url: str, beside: Start) -> None:
    account, id = account_with_many_items()
    async with beside(database_url, account) as both:
        assert both.service.reconcile is not None
        report = await both.service.reconcile.run(repair=True)
        assert report is not None and report.not_repaired == []
        async with both.service.database.reading() as session:
            row = await session.get(Subscription, id)
        assert row is not None and (len(row.items), row.plan_id) == (METERS + 1, "price_team")
        again = await both.service.reconcile.run(repair=False)
        assert again is not None and again.differences == []


BACKWARDS = [False, pytest.param(True, marks=pytest.mark.long)]
ITEMS, LINES = 12, 40


async def many_lines(account: Account) -> str:
    """A team plan of three items that grows to twelve, and is renewed by an invoice of forty lines.

    The plan's item is the last one that Stripe lists, so it is beyond the cut.
    """
    meters = [f"price_meter_{number}" for number in range(ITEMS - 1)]
    for meter in meters:
        account.prices[meter] = Price(meter, 1)
    customer = account.create_customer(user_id="ada")
    subscription = account.create_subscription(customer, (*meters[:2], "price_team"), quantity=3)
    account.advance(3600)
    with account.editing(subscription):
        first = subscription.items[0]
        added = [replace(first, id=account.new_id("si"), price=account.prices[meter]) for meter in meters[2:]]
        subscription.items[2:2] = added
    async with serving(account) as base_url:
        api = StripeApi(API_KEY, base_url)
        params = {"customer": customer.id, "subscription": subscription.id, "currency": "usd"}
        for number in range(LINES - ITEMS):
            await api.post("/v1/invoiceitems", amount=100 + number, **params)
        await api.close()
    account.advance(30 * DAY)
    invoice = account.renew(subscription)
    assert (len(subscription.items), len(invoice.lines)) == (ITEMS, LINES)
    return subscription.id


@pytest.mark.parametrize("backwards", BACKWARDS)
async def test_twelve_items_and_forty_lines_are_whole_with_a_key(
    database_url: str, beside: Start, backwards: bool
) -> None:
    account = Account(1)
    id = await many_lines(account)
    async with beside(database_url, account) as both:
        await both.client.deliver(*(account.events[::-1] if backwards else account.events))
        await refresh(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        record = await both.client.read(f"/internal/subscriptions/{id}")
        assert (len(record["items"]), record["needs_refresh"]) == (ITEMS, False)
        assert record["paid_through"] == account.subscriptions[id].period_end
        assert await plan_of(both) == "team"


@pytest.mark.parametrize("backwards", BACKWARDS)
async def test_twelve_items_and_forty_lines_take_nothing_back_without_a_key_and_the_doctor_says_what_to_set(
    database_url: str, backwards: bool
) -> None:
    account = Account(1)
    id = await many_lines(account)
    async with running(database_url, clock=lambda: account.now) as client:
        whole = [each for each in account.events if each.created < account.now - 30 * DAY - 60]
        await client.deliver(*whole)
        before = await client.read(f"/internal/subscriptions/{id}")
        cut = account.events[len(whole) :]
        await client.deliver(*(cut[::-1] if backwards else cut))
        record = await client.read(f"/internal/subscriptions/{id}")
        assert record["needs_refresh"]
        assert (record["plan_id"], record["quantity"]) == (before["plan_id"], 3) == ("price_team", 3)
        assert record["paid_through"] >= before["paid_through"]
        assert (await client.read("/internal/users/ada/entitlements"))["plan"] == "team"
        findings = (await check_service(client.app.state.billing))["needs-refresh"]
        assert findings[0].level == "error" and "STRIPE_API_KEY" in findings[0].remedy
        assert id in findings[0].ids
