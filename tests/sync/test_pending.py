"""Thin events and records that order cannot determine are fetched from Stripe, one request an object."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import text

from app.db.models import EventState
from app.simulator import Account, thin_event, truth
from app.stripe.client import Answer
from app.sync import leases
from app.sync.pending import PAUSE_SECONDS, RETRY_SECONDS, UNCHANGED_SECONDS, UNREADABLE
from tests.records import stored
from tests.waiting import until_idle

from .conftest import Beside, Start
from .test_catch_up import NOW, lived

pytestmark = pytest.mark.postgresql_in_long


async def deliver_thin(both: Beside, *events: Any) -> None:
    for event in events:
        assert await both.client.send(thin_event(event)) in ("deferred", "ignored")


async def states(both: Beside) -> set[str]:
    async with both.service.database.reading() as session:
        rows = await (await session.connection()).execute(
            text("SELECT DISTINCT state FROM billing_event WHERE source = 'stripe'")
        )
        return {row.state for row in rows}


def as_the_api_tells_it(account: Account) -> Any:
    """The truth, but for what Stripe's API keeps to itself: of a deleted customer it tells only the id.

    Who bought is in the checkout session.
    """
    expected = truth(account)
    gone = {customer.id for customer in account.customers.values() if customer.deleted}
    referred = {each.customer: each.client_reference_id for each in reversed(account.sessions.values())}
    for customer_id in gone & expected["customers"].keys():
        expected["customers"][customer_id] |= {"user_id": referred.get(customer_id), "email": None}
    sold = {each.subscription: each.metadata.get("user_id") for each in account.sessions.values()}
    for id, subscription in expected["subscriptions"].items():
        # Whom a subscription named once, and does not now, only events could tell.
        own = account.subscriptions[id].metadata.get("user_id") or sold.get(id)
        subscription["user_id"] = own or expected["customers"][subscription["customer_id"]]["user_id"]
    return expected


async def refresh_all(both: Beside) -> None:
    """Until there is nothing left to read, each time once the records have been still for long enough."""

    async def refresh() -> int:
        count = await both.refresh()
        if count:
            both.account.advance(UNCHANGED_SECONDS + 1)
        return count

    await until_idle(refresh)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.long
async def test_when_all_deliveries_are_thin_the_records_equal_the_truth(
    database_url: str, beside: Start, seed: int
) -> None:
    account = lived(seed)
    async with beside(database_url, account) as both:
        events = list(account.events)
        random.Random(seed).shuffle(events)
        await deliver_thin(both, *events)
        account.advance(UNCHANGED_SECONDS + 1)
        await refresh_all(both)
        expected = as_the_api_tells_it(account)
        assert await stored(both.service.database, expected) == expected
        assert await states(both) <= {EventState.PROCESSED, EventState.IGNORED}


async def test_a_burst_on_one_subscription_is_one_read(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    for quantity in range(2, 30):
        account.change_quantity(subscription, quantity)
    changes = [event for event in account.events if event.type == "customer.subscription.updated"]
    async with beside(database_url, account) as both:
        await deliver_thin(both, *changes)
        assert await both.refresh() == 1
        assert both.traffic.by_route["GET /v1/subscriptions/{id}"] == 1
        [record] = (await both.client.read("/internal/customers/" + subscription.customer))["subscriptions"]
        assert record["quantity"] == 29


async def test_a_record_that_order_cannot_determine_is_fetched_once_it_is_still(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    invoice = account.renew(subscription)
    paid = next(event for event in account.events if event.type == "invoice.paid")
    async with beside(database_url, account) as both:
        await both.client.deliver(paid)  # of a subscription and a customer that are not known
        assert invoice is not None
        assert await both.refresh() == 0
        account.advance(UNCHANGED_SECONDS)
        assert await both.refresh() == 2
        found = await both.client.read("/internal/users/ada")
        assert found["subscriptions"][0]["status"] == "active"
        account.advance(UNCHANGED_SECONDS)
        assert await both.refresh() == 0


async def test_an_event_close_to_a_fetched_state_has_it_fetched_again(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events)
        account.advance(1)
        before = len(account.events)
        account.change_quantity(subscription, 7)
        assert account.events[before:]
        await both.refresh()
        # Stamped one second apart, and which of the two is newer nobody can tell.
        await both.client.deliver(*account.events[before:])
        reads = both.traffic.by_route["GET /v1/subscriptions/{id}"]
        account.advance(UNCHANGED_SECONDS + 1)
        await refresh_all(both)
        assert both.traffic.by_route["GET /v1/subscriptions/{id}"] == reads + 1
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


async def test_a_record_that_changes_while_it_is_read_is_read_again(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(10)
        assert both.service.objects is not None
        hold = both.faults.hold("late", path=f"/v1/subscriptions/{subscription.id}")
        reading = asyncio.create_task(both.service.objects.refresh("subscription", subscription.id))
        await hold.reached()
        before = len(account.events)
        account.change_quantity(subscription, 5)
        await both.client.deliver(*account.events[before:])
        hold.release()
        await reading
        assert both.traffic.by_route["GET /v1/subscriptions/{id}"] == 2
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


async def test_while_stripe_is_down_thin_events_wait_and_webhooks_do_not(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    for number in range(8):
        subscription = account.create_subscription(
            account.create_customer(user_id=f"user_{number}"), "price_team"
        )
        account.change_quantity(subscription, number + 2)
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events[:10])
        hold = both.faults.hold("delay", 100)
        waiting = asyncio.create_task(both.refresh())
        await hold.reached()
        await both.client.deliver(*account.events[10:])
        assert not waiting.done()
        both.faults._planned.clear()
        hold.release()
        assert await waiting > 0
        both.faults.next("error", 1000)
        account.advance(UNCHANGED_SECONDS + 1)
        async with both.service.database.session() as session:
            await (await session.connection()).execute(
                text("UPDATE billing_subscription SET needs_refresh = TRUE")
            )
        assert await both.refresh() == 0
        both.faults._planned.clear()
        both.faults.next("rate_limit", 2)
        account.advance(PAUSE_SECONDS)
        assert await both.refresh() > 0
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        assert await states(both) <= {EventState.PROCESSED, EventState.IGNORED}


async def test_what_stripe_does_not_have_is_not_asked_for_again_and_again(
    database_url: str, beside: Start
) -> None:
    account, other = Account(1, start=NOW), Account(2, start=NOW)
    other.create_subscription(other.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await deliver_thin(both, *other.events)
        assert await both.refresh() == 0
        requests = sum(both.traffic.by_path.values())
        assert requests
        assert await both.refresh() == 0
        assert sum(both.traffic.by_path.values()) == requests
        assert await states(both) == {EventState.IGNORED}


async def test_what_stripe_does_not_have_hides_nothing_that_it_has(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sync.pending.BATCH", 1)
    account, other = Account(1, start=NOW), Account(2, start=NOW)
    there = account.create_subscription(account.create_customer(), "price_team")
    gone = [other.create_subscription(other.create_customer(), "price_team") for _ in range(3)]
    assert min(each.id for each in gone) < there.id  # the first that is looked at is none that Stripe has
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events, *other.events)
        account.advance(UNCHANGED_SECONDS + 1)
        async with both.service.database.session() as session:
            await (await session.connection()).execute(
                text("UPDATE billing_subscription SET needs_refresh = TRUE")
            )
        assert [await both.refresh() for _ in range(4)].count(1) == 1
        [record] = (await both.client.read("/internal/customers/" + there.customer))["subscriptions"]
        assert not record["needs_refresh"]


async def test_a_fetch_that_breaks_off_releases_its_lease(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(1, start=NOW)
    account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events)
        monkeypatch.setattr("app.sync.objects.StripeObjects.refresh", broken)
        with pytest.raises(TimeoutError):
            await both.refresh()
        assert await leases.acquire(both.service.database, "refresh", NOW, holder="another process")


async def broken(*_: object, **__: object) -> None:
    raise TimeoutError


async def test_two_processes_do_not_read_the_same(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events)
        assert await leases.acquire(both.service.database, "refresh", NOW, holder="another process")
        assert await both.refresh() == 0
        account.advance(leases.LEASE_SECONDS)
        assert await both.refresh() > 0


async def test_a_stored_event_that_cannot_be_read_keeps_no_other_waiting(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    for _ in range(2):
        account.create_customer()
    first, second = (thin_event(event) for event in account.events)
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events)
        async with both.service.database.session() as session:
            cut_off = text("UPDATE billing_event SET body = '{' WHERE id = :id")
            await (await session.connection()).execute(cut_off, {"id": first["id"]})
        assert await both.refresh() == 1
        assert (await both.client.read(f"/internal/events/{second['id']}"))["state"] == EventState.PROCESSED
        unread = await both.client.read(f"/internal/events/{first['id']}")
        assert (unread["state"], unread["last_error"]) == (EventState.PENDING, UNREADABLE)


async def test_an_object_that_cannot_be_applied_keeps_no_other_waiting(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await deliver_thin(both, *account.events)
        api = both.service.stripe
        assert api is not None
        read, asked = api.read, []

        async def read_badly(kind: str, object_id: str) -> Answer:
            asked.append(kind)
            answer = await read(kind, object_id)
            return Answer({}, answer.at) if kind == "customer" else answer

        with monkeypatch.context() as patched:
            patched.setattr(api, "read", read_badly)
            assert await both.refresh() > 0, "the subscription"
            assert await both.refresh() == 0
        assert asked.count("customer") == 1, "it is put off"
        account.advance(RETRY_SECONDS + 1)
        await refresh_all(both)
        assert await states(both) <= {EventState.PROCESSED, EventState.IGNORED}
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        assert subscription.id in expected["subscriptions"]
