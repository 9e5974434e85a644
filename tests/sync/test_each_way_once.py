"""Whichever way an event comes in, and however often: its facts are announced once, under one id."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import update
from sqlmodel import col

from app.db.models import EventState, WebhookEvent
from app.operations.replay import replay
from app.signals import Reaction, reactions
from app.simulator import Account, thin_event, truth
from app.simulator.model import Record
from app.sync.pending import GONE, UNCHANGED_SECONDS
from tests.records import stored

from .conftest import Beside, Start
from .test_catch_up import NOW, catch_up
from .test_thin import about, event_rows, receiving, subscribed, thin

Announced = list[Reaction]
WAYS = ("snapshot", "thin", "catch-up")
OTHERS = (WAYS[::-1], ("catch-up", "snapshot", "thin"))


@pytest.fixture
def told() -> Iterator[Announced]:
    heard: Announced = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    for signal in reactions.values():
        signal.connect(hear)
    yield heard
    for signal in reactions.values():
        signal.disconnect(hear)


def lived() -> Account:
    """A customer whose payment was refunded and disputed, and whose next one failed."""
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(3600)
    paid = account.renew(subscription)
    account.advance(60)
    account.refund(paid, 700)
    account.dispute(paid)
    account.advance(3600)
    account.renew(subscription, paid=False)
    account.advance(60)
    return account


FACTS = {"payment_refunded", "payment_disputed", "payment_failed"}


async def come_in(both: Beside, way: str) -> None:
    account = both.account
    if way == "catch-up":
        assert await catch_up(both, NOW)
    elif way == "thin":
        for event in account.events:
            await both.client.send(thin_event(event))
    else:
        await both.client.deliver(*account.events)
    await read_all(both)


async def read_all(both: Beside) -> None:
    for _ in range(10):
        both.account.advance(UNCHANGED_SECONDS + 1)
        if not await both.refresh():
            return
    raise AssertionError("there is always more to read")


async def replay_everything(both: Beside) -> None:
    """Apply every stored event once more, as after an operator has given all of them up and replayed them."""
    dead = update(WebhookEvent).where(col(WebhookEvent.id).is_not(None)).values(state=EventState.DEAD)
    async with both.service.database.session() as session:
        await (await session.connection()).execute(dead)
    replayed = await replay(both.service.database, "test", at=both.account.now)
    assert replayed > 2 * len(both.account.events)
    await both.service.worker.retry_due()


@pytest.mark.parametrize(
    "order",
    [
        WAYS,
        ("thin", "catch-up", "snapshot"),
        *(pytest.param(order, marks=pytest.mark.long) for order in OTHERS),
    ],
    ids="-".join,
)
@pytest.mark.rest_in_long(1)
async def test_a_fact_that_comes_in_by_every_way_is_announced_once(
    any_database_url: str, beside: Start, told: Announced, order: tuple[str, ...]
) -> None:
    account = lived()
    async with beside(any_database_url, account) as both:
        for way in (*order, order[0]):
            await come_in(both, way)
        await replay_everything(both)
        await read_all(both)
        await asyncio.sleep(0)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
    counted = Counter(each.id for each in told if each.signal in FACTS)
    assert set(counted.values()) == {1}
    assert {id.partition(":")[0] for id in counted} == FACTS
    if order[0] != "catch-up":  # Stripe lists the newest first: there a dispute is known before its payment
        assert {each.user_id for each in told if each.signal in FACTS} == {"ada"}


async def test_a_thin_event_of_an_object_that_is_back_is_read_when_it_is_replayed(
    any_database_url: str, beside: Start
) -> None:
    account, subscription = subscribed()
    event = thin("v1.customer.subscription.updated", about(subscription), created=NOW)
    async with beside(any_database_url, account) as both:
        del account.subscriptions[subscription.id]
        await both.client.send(event)
        await both.refresh()
        assert (await event_rows(both))[event["id"]].last_error == GONE
        account.subscriptions[subscription.id] = subscription
        account.advance(601)
        assert await replay(both.service.database, "test", at=account.now, event_id=event["id"]) == 1
        await both.service.worker.retry_due()
        assert await both.refresh() == 1
        assert (await event_rows(both))[event["id"]].state == "processed"
        record = await both.client.read(f"/internal/subscriptions/{subscription.id}")
        assert record["status"] == "active"


async def test_a_thin_event_without_a_receiver_reaches_one_that_is_connected_later_when_it_is_replayed(
    any_database_url: str, beside: Start
) -> None:
    account, _ = subscribed()
    coupon = account.add_record(Record("half_off", NOW, "coupon", {"id": "half_off", "object": "coupon"})).id
    event = thin("v1.coupon.updated", ("coupon", coupon, f"/v1/coupons/{coupon}"), created=NOW)
    async with beside(any_database_url, account) as both:
        assert await both.client.send(event) == "ignored"
        with receiving("coupon.updated") as heard:
            assert await replay(both.service.database, "test", at=account.now, event_id=event["id"]) == 1
            await both.service.worker.retry_due()
            await both.refresh()
    assert [each.object["id"] for each in heard] == [coupon]
