"""Since when a payment is due: every rule in every order, with events twice, on both databases."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.db.models import Subscription
from app.service import Service

from ..client import AUTH, Client, running
from ..story import DAY, HOUR, MONTH, Story, listed, orders

pytestmark = pytest.mark.postgresql_in_long

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


def imported(at: int, *, older: int = 60 * DAY) -> Story:
    """Only what says that it is past due is known, and a metadata edit of an hour later."""
    story = Story(at - older, collection_method="send_invoice", status="past_due")
    story.events.pop()
    story.change(at, metadata={"note": "first seen"})
    story.change(at + HOUR, metadata={"note": "seen again"})
    return story


def imported_with_a_due_date() -> tuple[Story, int]:
    """The newest due date that has passed counts: older ones and what is not due yet do not."""
    story = imported(NOW - DAY)
    for number, due in enumerate((NOW - 40 * DAY, NOW - 3 * DAY, NOW + 20 * DAY)):
        story.invoice("invoice.finalized", due - 30 * DAY, number=number, due_date=due)
    return story, NOW - 3 * DAY


def imported_after_the_newest_due_invoice_was_paid() -> tuple[Story, int]:
    story = imported(NOW - DAY)
    for number, due in enumerate((NOW - 6 * DAY, NOW - 3 * DAY)):
        story.invoice("invoice.finalized", due - 30 * DAY, number=number, due_date=due)
    story.invoice("invoice.paid", NOW - 2 * DAY, number=1, status="paid")
    return story, NOW - 6 * DAY


def imported_after_a_failed_charge() -> tuple[Story, int]:
    """The first failure of the latest invoice; an older one that stayed open shortens nothing."""
    story = imported(NOW - DAY)
    story.invoice("invoice.payment_failed", NOW - 33 * DAY, number=1, attempt_count=4)
    story.invoice("invoice.payment_failed", NOW - 4 * DAY, number=2, attempt_count=1)
    story.invoice("invoice.payment_failed", NOW - 2 * DAY, number=2, attempt_count=2)
    return story, NOW - 4 * DAY


def imported_after_charges_that_the_invoice_shows() -> tuple[Story, int]:
    story = imported(NOW - DAY)
    charges = [
        {"id": f"ch_{at}", "object": "charge", "status": status, "created": at}
        for at, status in ((NOW - 2 * DAY, "failed"), (NOW - 5 * DAY, "failed"), (NOW - 6 * DAY, "pending"))
    ]
    payment = {"id": "pi_1", "object": "payment_intent", "charges": listed(charges)}
    story.invoice("invoice.finalized", NOW - 6 * DAY, payment_intent=payment)
    return story, NOW - 5 * DAY


def imported_alone() -> tuple[Story, int]:
    return imported(NOW - DAY), NOW - DAY


def imported_and_seen_running_later() -> tuple[Story, int]:
    """Once a step is known, it counts and nothing else."""
    story = imported(NOW - 10 * DAY)
    story.invoice("invoice.finalized", NOW - 50 * DAY, due_date=NOW - 20 * DAY)
    story.change(NOW - 5 * DAY, status="active")
    story.change(NOW - 2 * DAY, status="past_due")
    return story, NOW - 2 * DAY


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
    imported_with_a_due_date,
    imported_after_the_newest_due_invoice_was_paid,
    imported_after_a_failed_charge,
    imported_after_charges_that_the_invoice_shows,
    imported_and_seen_running_later,
]
"""Each is also what becomes of rows of the release before."""


@pytest.mark.parametrize("case", [*CASES, imported_alone], ids=lambda case: case.__name__)
@pytest.mark.rest_in_long(6)
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


async def test_paying_ends_what_was_due_and_the_next_failure_begins_again(client: Client) -> None:
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


async def read_for_thin(client: Client, story: Story, kind: str, at: int, **changes: Any) -> Subscription:
    """What was read of the subscription for a thin event of this type, stamped `at`."""
    event = story.emit(kind, story.object, NOW)
    event |= {"read_for": {"created": at, "id": "evt_thin"}, "changes": changes}
    await client.send(event)
    return await record(client, story)


async def test_a_thin_event_says_by_its_type_when_a_status_began(client: Client) -> None:
    story = imported(NOW - DAY)
    for event in story.events:
        await client.send(event)
    found = await read_for_thin(client, story, "customer.subscription.past_due", NOW - 4 * DAY)
    assert found.past_due_since == NOW - 4 * DAY
    found = await read_for_thin(client, story, "customer.subscription.active", NOW - 3 * DAY)
    assert found.past_due_since == NOW - DAY, "the first that said so since it was active"
    found = await read_for_thin(client, story, "customer.subscription.unpaid", NOW - 2 * DAY)
    assert found.past_due_since == NOW - 2 * DAY


async def test_a_thin_event_says_by_its_changes_what_the_status_was(client: Client) -> None:
    story = imported(NOW - 2 * DAY)
    for event in story.events:
        await client.send(event)
    resumed = {"before": {"status": "paused"}, "after": {"status": "past_due"}}
    found = await read_for_thin(client, story, "customer.subscription.past_due", NOW - DAY, **resumed)
    assert found.past_due_since == NOW - 2 * DAY, "a pause in between breaks nothing"
    stepped = {"before": {"status": "active"}, "after": {"status": "past_due"}}
    found = await read_for_thin(client, story, "customer.subscription.updated", NOW - HOUR, **stepped)
    assert found.past_due_since == NOW - HOUR
