"""Thin events: what they name is read, whatever their type is, and the receivers of that type hear of it."""

import asyncio
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe.events
from sqlmodel import select

from app.db.models import EventState, Subscription, WebhookEvent
from app.inbox.unit_of_work import UnitOfWork
from app.signals import Reaction, event_signal, trial_ending
from app.simulator import DAY, Account
from app.simulator.model import Record
from app.stripe.client import Answer, StripeApi
from app.stripe.events import StripeEvent
from app.sync.pending import GONE, UNCHANGED_SECONDS

from .conftest import Beside, Start
from .test_catch_up import NOW

pytestmark = pytest.mark.postgresql_in_long

PREFIX, SUFFIX = "_v1_customer_subscription_", "_event"
SUBSCRIPTION_TYPES = sorted(
    module.name.removeprefix(PREFIX).removesuffix(SUFFIX)
    for module in pkgutil.iter_modules(stripe.events.__path__)
    if module.name.startswith(PREFIX)
)
"""The thin types about subscriptions of the installed library's API version, without what they begin with."""


def thin(event_type: str, about: tuple[str, str, str] | None, *, created: int, **more: Any) -> dict[str, Any]:
    """A thin event about an object: its type, its id, and its path."""
    related = {"related_object": {"type": about[0], "id": about[1], "url": about[2]}} if about else {}
    return {
        "id": f"evt_test_{event_type.replace('.', '_')}",
        "object": "v2.core.event",
        "type": event_type,
        "created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": False,
        **related,
        **more,
    }


def about(subscription: Any) -> tuple[str, str, str]:
    return "subscription", subscription.id, f"/v1/subscriptions/{subscription.id}"


@contextmanager
def receiving(event_type: str) -> Iterator[list[StripeEvent]]:
    """What a receiver of the application hears of a type."""
    heard: list[StripeEvent] = []

    def hear(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
        heard.append(event)

    signal = event_signal(event_type)
    with signal.connected_to(hear):
        yield heard


async def event_rows(both: Beside) -> dict[str, WebhookEvent]:
    async with both.service.database.reading() as session:
        return {row.id: row for row in await session.exec(select(WebhookEvent))}


async def subscription_row(both: Beside, id: str) -> Subscription:
    async with both.service.database.reading() as session:
        row = await session.get(Subscription, id)
        assert row is not None
        return row


def subscribed() -> tuple[Account, Any]:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(10)
    return account, subscription


async def test_every_thin_type_about_a_subscription_brings_its_record(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    customer = account.create_customer(user_id="ada")
    events = {}
    for name in SUBSCRIPTION_TYPES:
        subscription = account.create_subscription(customer, "price_team")
        events[subscription.id] = thin(f"v1.customer.subscription.{name}", about(subscription), created=NOW)
    assert len(events) >= 21
    account.advance(10)
    async with beside(database_url, account) as both:
        for event in events.values():
            assert await both.client.send(event) == "deferred"
        assert await both.refresh() == len(events)
        rows = await event_rows(both)
        for id, event in events.items():
            assert (await subscription_row(both, id)).status == "active"
            assert rows[event["id"]].state == EventState.PROCESSED
        assert {row.state for row in rows.values()} == {EventState.PROCESSED}


@pytest.mark.parametrize("first", ["snapshot", "thin"])
async def test_the_end_of_a_trial_is_announced_once_by_a_snapshot_and_its_thin_twin(
    database_url: str, beside: Start, first: str
) -> None:
    account = Account(1, start=NOW)
    customer = account.create_customer(user_id="ada")
    subscription = account.create_subscription(customer, "price_team", trial_days=7)
    account.advance(4 * DAY)
    account.warn_of_trial_end(subscription)
    twin = thin("v1.customer.subscription.trial_will_end", about(subscription), created=account.now)
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    async with beside(database_url, account) as both:
        with trial_ending.connected_to(hear):
            if first == "snapshot":
                await both.client.deliver(*account.events)
                await both.client.send(twin)
            else:
                await both.client.send(twin)
                person = ("customer", customer.id, f"/v1/customers/{customer.id}")
                await both.client.send(thin("v1.customer.created", person, created=NOW))
                account.advance(1)
                await both.refresh()
                await both.client.deliver(*account.events)
            account.advance(UNCHANGED_SECONDS + 1)
            await both.refresh()
            await asyncio.sleep(0)
    assert [each.id for each in heard] == [f"trial_ending:{subscription.id}:{subscription.trial_end}"]
    assert heard[0].user_id == "ada"


@pytest.mark.parametrize("name", ["coupon.updated", "v1.coupon.updated"])
async def test_a_receiver_of_the_application_gets_what_was_read_at_the_path(
    database_url: str, beside: Start, name: str
) -> None:
    account, _ = subscribed()
    coupon = account.add_record(Record("half_off", NOW, "coupon", {"id": "half_off", "object": "coupon"})).id
    event = thin("v1.coupon.updated", ("coupon", coupon, f"/v1/coupons/{coupon}"), created=NOW)
    async with beside(database_url, account) as both:
        assert await both.client.send(event) == "ignored", "nobody needs it"
        with receiving(name) as heard:
            assert await both.client.send(event | {"id": "evt_test_again"}) == "deferred"
            assert await both.refresh() == 1
    assert [(each.type, each.object["id"], each.object["object"]) for each in heard] == [
        (name, coupon, "coupon")
    ]


async def test_an_event_that_names_no_object_is_fetched_itself(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, subscription = subscribed()
    asked: list[str] = []

    async def read_event(api: StripeApi, event_id: str) -> Answer:
        asked.append(event_id)
        data = {"customer": subscription.customer, "subscription": subscription.id}
        return Answer({"id": event_id, "object": "v2.core.event", "data": data}, NOW)

    monkeypatch.setattr(StripeApi, "read_event", read_event)
    async with beside(database_url, account) as both:
        with receiving("invoice.upcoming") as heard:
            event = thin("v1.invoice.upcoming", None, created=NOW)
            assert await both.client.send(event) == "deferred"
            assert await both.refresh() == 1
    assert asked == [event["id"]]
    assert heard[0].object == {"customer": subscription.customer, "subscription": subscription.id}


async def test_an_object_that_stripe_does_not_have_finishes_its_event_with_a_reason(
    database_url: str, beside: Start
) -> None:
    account, _ = subscribed()
    gone = ("subscription", "sub_gone", "/v1/subscriptions/sub_gone")
    async with beside(database_url, account) as both:
        with receiving("coupon.deleted") as heard:
            await both.client.send(thin("v1.customer.subscription.updated", gone, created=NOW))
            coupon = ("coupon", "coupon_1", "/v1/coupons/coupon_1")
            await both.client.send(thin("v1.coupon.deleted", coupon, created=NOW))
            assert await both.refresh() == 0
            rows = await event_rows(both)
    ignored = rows["evt_test_v1_customer_subscription_updated"]
    assert (ignored.state, ignored.last_error) == (EventState.IGNORED, GONE)
    assert rows["evt_test_v1_coupon_deleted"].state == EventState.PROCESSED
    assert [each.object for each in heard] == [{"id": "coupon_1", "object": "coupon", "deleted": True}]


async def test_an_event_of_the_other_mode_waits_and_says_which_key_it_needs(
    database_url: str, beside: Start
) -> None:
    account, subscription = subscribed()
    event = thin("v1.customer.subscription.updated", about(subscription), created=NOW, livemode=True)
    async with beside(database_url, account) as both:
        assert await both.client.send(event) == "deferred"
        for _ in range(2):
            assert await both.refresh() == 0
        row = (await event_rows(both))[event["id"]]
        assert row.state == EventState.PENDING
        assert row.last_error is not None
        assert "live mode" in row.last_error
        assert both.traffic.by_route["GET /v1/subscriptions/{id}"] == 0


async def test_a_receiver_that_fails_is_tried_again_without_another_read(
    database_url: str, beside: Start
) -> None:
    account, subscription = subscribed()
    fail: list[Callable[[], object]] = [lambda: 1 // 0]
    heard: list[StripeEvent] = []

    def receive(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
        if fail:
            fail.pop()()
        heard.append(event)

    event = thin("v1.customer.subscription.paused", about(subscription), created=NOW)
    async with beside(database_url, account) as both:
        with event_signal("customer.subscription.paused").connected_to(receive):
            await both.client.send(event)
            assert await both.refresh() == 1
            told = f"reread_{event['id']}"
            assert (await event_rows(both))[told].state == EventState.FAILED
            account.advance(60)
            await both.service.worker.retry_due()
        assert (await event_rows(both))[told].state == EventState.PROCESSED
        assert [each.object["id"] for each in heard] == [subscription.id]
        assert both.traffic.by_route["GET /v1/subscriptions/{id}"] == 1


async def test_a_status_counts_from_its_own_event_however_late_it_is_read(
    database_url: str, beside: Start
) -> None:
    account, subscription = subscribed()
    invoice = account.renew(subscription, paid=False)
    began = account.now
    assert invoice.status == "open"
    event = thin("v1.customer.subscription.past_due", about(subscription), created=began)
    async with beside(database_url, account) as both:
        await both.client.send(event)
        account.advance(3 * DAY)
        assert await both.refresh() == 1
        row = await subscription_row(both, subscription.id)
        assert (row.status, row.past_due_since) == ("past_due", began)
