"""Nested lists of which Stripe shows the first ten: a key fetches the rest, and nothing is lowered."""

import pytest

from app.db.models import Subscription
from app.simulator import Account, truth
from app.simulator.model import Price
from app.sync.pending import UNCHANGED_SECONDS

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
    both.account.advance(UNCHANGED_SECONDS + 1)
    while await both.refresh():
        both.account.advance(UNCHANGED_SECONDS + 1)


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
