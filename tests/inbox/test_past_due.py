"""Since when a payment is due: every rule in every order, with events twice, on both databases."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.db.models import Subscription
from app.service import Service

from ..client import AUTH, Client, running
from ..story import DAY, HOUR, MONTH, Story, orders

NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
WEEK = 7 * DAY
LONG_AGO = NOW - 100 * DAY


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: NOW) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def record(client: Client, story: Story) -> Subscription:
    async with service_of(client).database.reading() as session:
        row = await session.get(Subscription, story.id)
    assert row is not None
    return row


async def entitlements(client: Client, story: Story) -> Any:
    return await client.read(f"/internal/users/{story.user}/entitlements")


def net_30() -> tuple[Story, int]:
    """An invoice that is due after 30 days, and not paid then."""
    story = Story(NOW - 31 * DAY, collection_method="send_invoice")
    story.invoice("invoice.finalized", NOW - 31 * DAY + HOUR, due_date=NOW - DAY)
    story.change(NOW - DAY, status="past_due")
    return story, NOW - DAY


def bank_debit() -> tuple[Story, int]:
    """Attempted on the first day of the period, refused by the bank on the tenth."""
    story = Story(NOW - 40 * DAY)
    story.renew(NOW - 10 * DAY)
    story.invoice("invoice.finalized", NOW - 10 * DAY, attempt_count=1)
    story.invoice("invoice.payment_failed", NOW - HOUR)
    story.change(NOW - HOUR, status="past_due")
    return story, NOW - HOUR


def forgotten_invoice() -> tuple[Story, int]:
    """An upgrade's invoice stays open for months, while every renewal is paid; then one is not."""
    story = Story(LONG_AGO)
    story.invoice("invoice.payment_failed", LONG_AGO + DAY, number=9, attempt_count=4)
    story.change(LONG_AGO + DAY, status="past_due")
    story.renew(LONG_AGO + MONTH)
    story.change(LONG_AGO + MONTH + HOUR, status="active")
    story.renew(LONG_AGO + 3 * MONTH)
    story.invoice("invoice.payment_failed", NOW - 60, number=3, attempt_count=1)
    story.change(NOW - 60, status="past_due")
    return story, NOW - 60


def new_period() -> tuple[Story, int]:
    """Stripe leaves it past due, and a new period begins."""
    since = NOW - 32 * DAY
    story = Story(NOW - 62 * DAY)
    story.renew(NOW - 33 * DAY)
    story.change(since, status="past_due")
    story.renew(NOW - 3 * DAY)
    return story, since


def becomes_unpaid() -> tuple[Story, int]:
    since = NOW - 20 * DAY
    story = Story(NOW - 40 * DAY)
    story.change(since, status="past_due")
    story.change(NOW - DAY, status="unpaid")
    return story, since


def paused_in_between() -> tuple[Story, int]:
    since = NOW - 5 * DAY
    story = Story(NOW - 40 * DAY)
    story.change(since, status="past_due")
    story.pause(NOW - 4 * DAY, "pause_requested")
    story.resume(NOW - DAY, status="past_due")
    return story, since


def recovery_was_lost() -> tuple[Story, int]:
    """Nobody told of the payment that ended the first time: the second step counts all the same."""
    story = Story(LONG_AGO)
    story.change(LONG_AGO + DAY, status="past_due")
    story.change(LONG_AGO + 3 * DAY, status="active")
    story.change(NOW - 2 * DAY, status="past_due")
    return story.dropped(3), NOW - 2 * DAY


def step_was_lost() -> tuple[Story, int]:
    """The first event that says so counts, after the newest that says otherwise."""
    story = Story(NOW - 40 * DAY)
    story.change(NOW - 9 * DAY, status="past_due")
    story.change(NOW - 3 * DAY, status="active")
    story.change(NOW - 2 * DAY, status="past_due")
    story.change(NOW - DAY, metadata={"note": "called them"})
    story.change(NOW - HOUR, metadata={"note": "called again"})
    return story.dropped(4), NOW - DAY


def after_a_trial() -> tuple[Story, int]:
    story = Story(NOW - 15 * DAY, status="trialing", trial_end=NOW - DAY)
    story.change(NOW - DAY, status="past_due")
    return story, NOW - DAY


def within_one_second() -> tuple[Story, int]:
    """Paid and failed again in the second in which the next period begins."""
    story = Story(NOW - 40 * DAY)
    story.change(NOW - 20 * DAY, status="past_due")
    story.change(NOW - DAY, status="active")
    story.renew(NOW - DAY)
    story.change(NOW - DAY, status="past_due")
    return story, NOW - DAY


CASES: list[Callable[[], tuple[Story, int]]] = [
    net_30,
    bank_debit,
    forgotten_invoice,
    new_period,
    becomes_unpaid,
    paused_in_between,
    recovery_was_lost,
    step_was_lost,
    after_a_trial,
    within_one_second,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_payment_is_due_since_its_step_in_whatever_order_events_come(
    client: Client, case: Callable[[], tuple[Story, int]]
) -> None:
    for number in range(len(orders(case()[0].events))):
        story, since = case()
        for event in orders(story.events)[number]:
            await client.send(event)
        found = await record(client, story)
        assert found.past_due_since == since, f"order {number}"
        answer = await entitlements(client, story)
        if found.status == "past_due":
            expected = ("grace", since + WEEK) if since + WEEK > NOW else ("none", None)
            assert (answer["access"], answer["grace_ends_at"]) == expected, f"order {number}"
        else:
            assert (found.status, answer["access"]) == ("unpaid", "none")


async def test_paying_ends_what_was_due_and_the_next_failure_begins_anew(client: Client) -> None:
    for number in range(5):
        story = Story(LONG_AGO)
        story.change(LONG_AGO + DAY, status="past_due")
        story.change(LONG_AGO + 2 * DAY, status="active")
        for event in orders(story.events)[number]:
            await client.send(event)
        paid = await record(client, story)
        assert (paid.status, paid.past_due_since, paid.due_at) == ("active", None, None)
        await client.send(story.change(NOW - HOUR, status="past_due"))
        assert (await record(client, story)).past_due_since == NOW - HOUR


async def test_moments_that_are_remembered_are_bounded_and_the_first_is_kept(client: Client) -> None:
    story = Story(LONG_AGO)
    story.change(LONG_AGO + DAY, status="past_due")
    for number in range(150):
        story.change(LONG_AGO + DAY + number * HOUR, metadata={"number": str(number)})
    for event in orders(story.events)[2]:
        await client.send(event)
    found = await record(client, story)
    assert found.due_at is not None and len(found.due_at) == 64
    assert found.past_due_since == found.due_at[0] == LONG_AGO + DAY


async def test_an_internal_update_begins_grace_when_it_says_past_due(client: Client) -> None:
    story = Story(NOW - 10 * DAY)
    for event in story.events:
        await client.send(event)
    update = {
        "customer_id": story.customer,
        "subscription_id": story.id,
        "plan_id": "price_team",
        "start_date": NOW - 10 * DAY,
        "expiry_date": NOW + 20 * DAY,
        "status": "past_due",
    }
    for _ in range(2):
        answer = await client.http.post("/internal/subscription/update", json=update, headers=AUTH)
        assert answer.status_code == 200, answer.text
    assert (await record(client, story)).past_due_since == NOW
    assert (await entitlements(client, story))["grace_ends_at"] == NOW + WEEK
    answer = await client.http.post(
        "/internal/subscription/update", json=update | {"status": "active"}, headers=AUTH
    )
    assert (await record(client, story)).past_due_since is None
