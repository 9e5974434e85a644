"""Every item counts, and what was paid counts while its item exists."""

import pytest

from app.simulator import DAY

from ...client import Client
from .helpers import MONTH, START, YEAR, Story, after_each_order, item, limit, line, yearly_to_monthly

pytestmark = pytest.mark.postgresql_in_long


def two_plans_and_an_addon(user: str) -> Story:
    story = Story(user, item("more", quantity=2), at=START)
    story.change(START + 60, item("team", quantity=4), item("more", quantity=2), item("pro"))
    story.change(START + 120, item("pro"), item("more", quantity=2), item("team", quantity=4))
    return story


async def test_every_item_counts_in_whatever_order_stripe_lists_them(client: Client) -> None:
    for found in await after_each_order(client, two_plans_and_an_addon):
        assert (limit(found, "projects"), limit(found, "seats"), limit(found, "sso")) == (300, 4, True)
        assert (found["plan_id"], found["quantity"], found["has"]["plan"]) == ("team", 4, "team")


def seats_of_two_intervals(user: str) -> Story:
    story = Story(user, item("team_yearly", interval="year", quantity=10), at=START)
    yearly = item("team_yearly", interval="year", quantity=10)
    story.change(START + 60, item("team", quantity=5), yearly, item("team_metered", quantity=None))
    return story


async def test_seats_of_one_plan_add_up_and_a_meter_adds_none(client: Client) -> None:
    for found in await after_each_order(client, seats_of_two_intervals):
        assert limit(found, "seats") == 15
        assert (found["plan_id"], found["quantity"]) == ("team_yearly", 10)
        assert found["expiry_date"] == START + YEAR


async def test_seats_of_two_subscriptions_add_up(client: Client) -> None:
    yearly = Story("ada", item("team_yearly", interval="year", quantity=10), at=START)
    monthly = Story("ada", item("team", quantity=5), at=START, id="sub_second")
    for event in yearly.events + monthly.events[1:]:
        assert await client.send(event) == "processed"
    found = {"has": await client.read("/internal/users/ada/entitlements")}
    assert limit(found, "seats") == 15


def monthly_plan_with_a_yearly_addon(user: str) -> Story:
    return Story(user, item("pro"), item("more_yearly", interval="year"), at=START)


async def test_a_monthly_plan_with_a_yearly_addon_expires_monthly(client: Client) -> None:
    for found in await after_each_order(client, monthly_plan_with_a_yearly_addon):
        assert (found["plan_id"], found["expiry_date"]) == ("pro", START + MONTH)


async def test_an_older_endpoint_and_a_newer_one_give_one_record(client: Client) -> None:
    yearly, monthly = item("pro_yearly", interval="year"), item("fee", quantity=None)
    new = Story("new", yearly, monthly, at=START)
    old = Story("old", yearly, monthly, at=START)
    content = old.events[1]["data"]["object"]
    content |= {"current_period_start": START, "current_period_end": START + MONTH}
    for each in content["items"]["data"]:
        del each["current_period_start"], each["current_period_end"]
    records = []
    for story in (new, old):
        for event in story.events:
            assert await client.send(event) == "processed"
        records.append(await client.read(f"/internal/subscriptions/sub_{story.user}"))
    apart = ("subscription_id", "customer_id", "user_id", "needs_refresh")
    for record, needs_refresh in zip(records, (False, True), strict=True):
        assert record["needs_refresh"] is needs_refresh
    same = [{key: value for key, value in each.items() if key not in apart} for each in records]
    assert same[0] == same[1]
    assert records[0]["expiry_date"] == START + YEAR


async def test_what_was_paid_for_a_price_that_the_item_no_longer_has_does_not_count(client: Client) -> None:
    for found in await after_each_order(client, yearly_to_monthly):
        assert (found["paid_through"], found["expiry_date"]) == (START + MONTH, START + MONTH)


def credited(user: str) -> Story:
    """A credit and a proration for a year or more of the price that the item has, and a paid month."""
    story = Story(user, item("pro", "si_1"), at=START)
    story.invoice(
        START,
        "in_1",
        line("pro", "si_1", START, START + YEAR, -500),
        line("pro", "si_1", START, START + 2 * YEAR, 700, proration=True),
        line("pro", "si_1", START, START + MONTH, 2_000),
    )
    return story


async def test_neither_a_credit_nor_a_proration_pays_for_a_time(client: Client) -> None:
    for found in await after_each_order(client, credited):
        assert found["paid_through"] == START + MONTH


def addon_removed(user: str) -> Story:
    story = Story(user, item("pro", "si_1"), item("more_yearly", "si_2", interval="year"), at=START)
    lines = (("pro", "si_1", MONTH), ("more_yearly", "si_2", YEAR))
    story.invoice(START, "in_1", *(line(price, id, START, START + end, 900) for price, id, end in lines))
    story.change(START + DAY, item("pro", "si_1"))
    return story


async def test_what_was_paid_for_an_item_that_is_gone_does_not_count(client: Client) -> None:
    for found in await after_each_order(client, addon_removed):
        assert found["paid_through"] == START + MONTH
