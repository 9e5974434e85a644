"""When usage starts again: what the events of a subscription say of it, in whatever order they come."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import limits
from app.simulator import DAY

from ...client import Client, running
from ..subscription_story import SubscriptionStory
from .cases import (
    CASES,
    FEB_10,
    FEB_20,
    HOUR,
    JAN_10,
    JAN_20,
    MAR_10,
    billed_on_the_31st_for_a_year,
    day,
    monthly,
    renewed,
    renewed_by_its_invoice_alone,
    yearly,
    yearly_to_monthly_and_back,
)

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"
[features]
calls = { kind = "consumable", reset = "period" }
mails = { kind = "consumable", reset = "month", anchor = "billing" }
[plans.free]
calls = 10
mails = 10
[plans.pro]
prices = ["pro_weekly", "pro_monthly", "pro_yearly"]
calls = 100
mails = 100
"""
SHUFFLES = 6


class Clock:
    def __init__(self) -> None:
        self.now = float(day(2030, 1, 1))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
@pytest.mark.rest_in_long(8)
async def test_a_period_opens_with_what_happened_in_whatever_order_events_arrive(
    client: Client, clock: Clock, name: str
) -> None:
    case = CASES[name]
    clock.now = case.now
    for number in range(SHUFFLES):
        user, order = f"user{number}", random.Random(f"{name}{number}")
        events = case.tell(user).events
        if number:
            events = [*events, *order.sample(events, len(events) // 2)]
            order.shuffle(events)
        for event in events:
            await client.send(event)
        entitlements = await limits.load(user)
        assert entitlements.period_of(case.feature, case.now) == case.period, number
        assert entitlements.check(case.feature, used=100).resets_at == case.period[1]


async def consume(client: Client, user: str, amount: int) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        taken: limits.Decision = await limits.consume(session, user, "calls", amount)
        return taken


async def test_the_first_subscription_opens_a_period_and_is_given_its_whole_allowance(
    client: Client, clock: Clock
) -> None:
    clock.now = JAN_20 - DAY
    await consume(client, "ada", 9)
    clock.now = JAN_20
    story = SubscriptionStory("ada", monthly(JAN_20, FEB_20), at=JAN_20)
    for event in story.events:
        await client.send(event)
    assert (await consume(client, "ada", 100)).resets_at == FEB_20
    for moment in (day(2030, 2, 1), FEB_20 - 1):
        clock.now = moment
        with pytest.raises(limits.LimitExceeded) as denied:
            await consume(client, "ada", 1)
        assert denied.value.headers == {"Retry-After": str(FEB_20 - moment)}


async def test_what_is_used_of_a_year_stays_used_when_the_interval_goes_to_and_fro(
    client: Client, clock: Clock
) -> None:
    clock.now = JAN_10
    story = yearly_to_monthly_and_back("ada")
    for event in story.events[:2]:
        await client.send(event)
    await consume(client, "ada", 100)
    for event in story.events[2:]:
        clock.now = event["created"]
        await client.send(event)
        with pytest.raises(limits.LimitExceeded) as denied:
            await consume(client, "ada", 1)
        assert denied.value.decision.used == 100


async def test_while_a_renewal_is_late_it_is_worth_asking_again_in_minutes(
    client: Client, clock: Clock
) -> None:
    clock.now = JAN_10
    story = renewed("ada")
    for event in story.events[:2]:
        await client.send(event)
    await consume(client, "ada", 100)
    clock.now = FEB_10 + 30
    with pytest.raises(limits.LimitExceeded) as denied:
        await consume(client, "ada", 1)
    assert (denied.value.http_status, denied.value.headers) == (429, {"Retry-After": "300"})
    assert (await limits.load("ada")).resets_at("calls", int(clock.now)) == clock.now + 300
    await client.send(story.events[2])
    assert (await consume(client, "ada", 1)).used == 1


async def test_a_renewal_that_is_known_by_its_invoice_gives_one_allowance_when_the_late_event_comes(
    client: Client, clock: Clock
) -> None:
    clock.now = JAN_10
    story = renewed_by_its_invoice_alone("ada")
    story.change(FEB_10, monthly(FEB_10, MAR_10))
    customer, created, paid, late = story.events
    await client.send(customer)
    await client.send(created)
    await consume(client, "ada", 100)
    clock.now = FEB_10 + HOUR
    await client.send(paid)
    summary = await client.read("/internal/users/ada/summary")
    assert summary["subscriptions"][0]["renews_at"] == MAR_10
    assert (await consume(client, "ada", 100)).resets_at == MAR_10
    await client.send(late)
    with pytest.raises(limits.LimitExceeded) as denied:
        await consume(client, "ada", 1)
    assert denied.value.decision.resets_at == MAR_10


async def test_a_second_subscription_beside_the_first_opens_no_period(client: Client, clock: Clock) -> None:
    clock.now = JAN_10
    for event in renewed("ada").events[:2]:
        await client.send(event)
    await consume(client, "ada", 60)
    clock.now = JAN_20
    second = SubscriptionStory("ada", yearly(JAN_20, day(2031, 1, 20)), at=JAN_20, id="sub_second")
    await client.send(second.events[1])
    assert (await consume(client, "ada", 1)).used == 61
    assert (await limits.load("ada")).period_of("calls", JAN_20) == (JAN_10, FEB_10)


async def test_a_subscription_after_one_that_has_ended_opens_a_period(client: Client, clock: Clock) -> None:
    clock.now = JAN_10
    story = SubscriptionStory("ada", monthly(JAN_10, FEB_10), at=JAN_10)
    for event in story.events:
        await client.send(event)
    await consume(client, "ada", 100)
    clock.now = JAN_20
    story.end(JAN_20)
    await client.send(story.events[-1])
    assert (await limits.load("ada")).check("calls", requested=0).used == 100, "an end opens no period"
    assert (await limits.load("ada")).period_of("calls", JAN_20) == (JAN_10, day(2030, 2, 1))
    clock.now = JAN_20 + HOUR
    again = SubscriptionStory("ada", monthly(JAN_20 + HOUR, FEB_20), at=JAN_20 + HOUR, id="sub_again")
    await client.send(again.events[1])
    assert (await consume(client, "ada", 1)).used == 1


async def test_what_is_announced_is_what_happens_to_the_second(client: Client, clock: Clock) -> None:
    clock.now = JAN_10
    for event in billed_on_the_31st_for_a_year("ada").events:
        await client.send(event)
    clock.now = day(2031, 1, 31, 22)
    for _ in range(11):
        resets_at = (await consume_mails(client, 100)).resets_at
        assert resets_at is not None
        clock.now = resets_at - 1
        with pytest.raises(limits.LimitExceeded):
            await consume_mails(client, 1)
        clock.now = resets_at
    assert clock.now == day(2031, 12, 31, 22)


async def consume_mails(client: Client, amount: int) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        taken: limits.Decision = await limits.consume(session, "ada", "mails", amount)
        return taken
