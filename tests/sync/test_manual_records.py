"""What only the internal API has spoken of is no record that waits for Stripe."""

import random
from typing import Any

import pytest

from app.cli.status import read_status
from app.db.models import Customer, Subscription
from app.operations.checks import check_service
from app.service import Service
from app.simulator import Account
from app.sync.pending import RETRY_SECONDS, UNCHANGED_SECONDS
from tests.client import AUTH, Client, running

from .conftest import Start

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000
UPDATE = {
    "customer_id": "cus_by_hand",
    "subscription_id": "sub_by_hand",
    "user_id": "ada",
    "plan_id": "price_team",
    "status": "active",
    "start_date": NOW,
    "expiry_date": NOW + 86_400,
}


async def update(client: Client, **changes: Any) -> None:
    answer = await client.http.post("/internal/subscription/update", json=UPDATE | changes, headers=AUTH)
    assert answer.status_code == 200, answer.text


async def waiting(service: Service) -> tuple[list[str], Any]:
    """What the check says, and what `status` counts."""
    found = [each.what for each in (await check_service(service))["needs-refresh"]]
    return found, (await read_status(service))["needs_refresh"]


NOTHING: tuple[list[str], Any] = ([], {"subscription": 0, "customer": 0})


async def test_without_a_key_nobody_is_asked_to_fetch_it(database_url: str) -> None:
    async with running(database_url) as client:
        await update(client)
        assert await waiting(client.app.state.billing) == NOTHING


async def test_with_a_key_stripe_is_asked_once(database_url: str, beside: Start) -> None:
    async with beside(database_url, Account(1, start=NOW)) as both:
        await update(both.client)
        assert await waiting(both.service) == NOTHING
        both.account.advance(UNCHANGED_SECONDS + 1)
        await both.refresh()
        asked = sum(both.traffic.by_path.values())
        assert asked == 2
        for _ in range(3):
            both.account.advance(RETRY_SECONDS + 1)
            await both.refresh()
        assert sum(both.traffic.by_path.values()) == asked
        async with both.service.database.reading() as session:
            rows = await session.get(Subscription, "sub_by_hand"), await session.get(Customer, "cus_by_hand")
        assert [row.needs_refresh for row in rows if row] == [False, False]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.rest_in_long(1)
async def test_what_stripe_speaks_of_later_is_to_be_fetched(
    any_database_url: str, beside: Start, seed: int
) -> None:
    """As much as if its event had come first."""
    account = Account(1, start=NOW)
    customer = account.create_customer("ada@example.com")
    account.create_subscription(customer, "price_team")
    events = [each for each in account.events if each.type.startswith("invoice.")]
    random.Random(seed).shuffle(events)
    [subscription_id] = account.subscriptions
    async with beside(any_database_url, Account(2, start=NOW)) as both:
        await update(both.client, customer_id=customer.id, subscription_id=subscription_id)
        both.account.advance(UNCHANGED_SECONDS + 1)
        await both.refresh()
        assert await waiting(both.service) == NOTHING
        await both.client.deliver(*events)
        found, counts = await waiting(both.service)
        assert (len(found), counts) == (1, {"subscription": 1, "customer": 1})


async def test_a_record_that_stripe_knows_still_waits(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    customer = account.create_customer("ada@example.com")
    account.create_subscription(customer, "price_team")
    async with beside(database_url, Account(2, start=NOW)) as both:
        await both.client.deliver(*(each for each in account.events if each.type == "invoice.paid"))
        found, _ = await waiting(both.service)
        assert found
        both.account.advance(UNCHANGED_SECONDS + 1)
        await both.refresh()
        assert (await waiting(both.service))[0] == found
