"""What the items of a subscription give and how far it is paid: the same in whatever order events come."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from app import signals
from app.signals import Reaction
from app.simulator import DAY

from ..client import Client, running
from ..waiting import until
from .subscription_story import SubscriptionStory, price_item, told

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
seats = { kind = "allocated" }
sso = { kind = "boolean" }
[plans.free]
projects = 3
[plans.pro]
prices = ["pro", "pro_yearly"]
lookup_keys = ["pro_monthly"]
products = ["prod_of_pro"]
projects = 100
sso = true
[plans.team]
prices = ["team", "team_yearly", "team_metered"]
projects = 200
seats = { limit = 1, per_unit = true }
[addons.more]
prices = ["more", "more_yearly"]
projects = 50
[ignored]
prices = ["fee"]
"""
NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
START, MONTH, YEAR = NOW - 10 * DAY, 30 * DAY, 365 * DAY
SHUFFLES = 5

Story = SubscriptionStory
Item = dict[str, Any]


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=lambda: NOW, plans_file=file) as client:
        yield client


def item(price: str, id: str = "", *, interval: str = "month", quantity: int | None = 1, **more: Any) -> Item:
    length = YEAR if interval == "year" else MONTH
    made = price_item(price, START, START + length, interval=interval, quantity=quantity or 0)
    if quantity is None:
        made["price"]["recurring"]["usage_type"] = "metered"
        del made["quantity"]
    return made | ({"id": id} if id else {}) | more


def orders(events: Sequence[Any], seed: str) -> list[list[Any]]:
    """Every order of a few events, some of many; and one in which each comes twice."""
    if len(events) <= 3:
        found = [list(order) for order in permutations(events)]
    else:
        dice = random.Random(seed)
        found = [dice.sample(list(events), len(events)) for _ in range(SHUFFLES)] + [list(events)]
    return [*found, [*reversed(events), *events]]


async def after_each_order(client: Client, tell: Callable[[str], Story]) -> list[dict[str, Any]]:
    """The subscription and what its user has, after the story's events in each of many orders."""
    found = []
    for number, _ in enumerate(orders(tell("count").events, tell.__name__)):
        user = f"{tell.__name__}_{number}".replace("_", "")
        for event in orders(tell(user).events, tell.__name__)[number]:
            assert await client.send(event) in ("processed", "duplicate")
        record = await client.read(f"/internal/subscriptions/sub_{user}")
        found.append(record | {"has": await client.read(f"/internal/users/{user}/entitlements")})
    return found


def limit(found: dict[str, Any], feature: str) -> Any:
    return found["has"]["features"][feature]["value"]


# Every item counts.


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


# Paid through.


def line(price: str, id: str, start: int, end: int, amount: int, **details: Any) -> dict[str, Any]:
    of_item = {"subscription_item": id, "proration": False} | details
    return {
        "amount": amount,
        "period": {"start": start, "end": end},
        "parent": {"type": "subscription_item_details", "subscription_item_details": of_item},
        "pricing": {"price_details": {"price": price}},
    }


def yearly_to_monthly(user: str) -> Story:
    changed = START + 5 * DAY
    yearly, monthly = item("pro_yearly", "si_1", interval="year"), item("pro", "si_1")
    story = Story(user, yearly, at=START)
    story.invoice(START, "in_1", line("pro_yearly", "si_1", START, START + YEAR, 20_000))
    story.change(changed, monthly)
    story.invoice(
        changed,
        "in_2",
        line("pro_yearly", "si_1", changed, START + YEAR, -18_000, proration=True),
        line("pro_yearly", "si_1", changed, START + YEAR, -18_000),
        line("pro", "si_1", START, START + MONTH, 2_000),
    )
    return story


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


# Prices that the plans file lists by a lookup key or a product, and those that it does not list.


def keyed(price: str, key: str | None, id: str = "si_1", product: str = "prod_other") -> Item:
    made = item(price, id)
    made["price"] |= {"lookup_key": key, "product": product}
    return made


def key_transferred(user: str) -> Story:
    story = Story(user, keyed("price_old", "pro_monthly"), at=START)
    story.change(START + 60, keyed("price_old", None))
    return story


async def test_a_price_keeps_the_plan_of_a_lookup_key_that_another_price_has_now(client: Client) -> None:
    for found in await after_each_order(client, key_transferred):
        assert (found["has"]["plan"], limit(found, "projects")) == ("pro", 100)


async def test_a_price_is_known_by_the_lookup_key_that_an_event_of_its_own_tells(client: Client) -> None:
    story = Story("ada", keyed("price_1", None), at=START)
    price = {"id": "price_1", "object": "price", "lookup_key": "pro_monthly", "product": "prod_1"}
    assert [await client.send(event) for event in story.events] == ["processed"] * 2
    assert (await client.read("/internal/users/ada/entitlements"))["plan"] == "free"
    assert await client.send(told("price.updated", START + 60, price)) == "processed"
    client.app.state.billing.limits.snapshots.forget("ada")  # a price invalidates no user: seconds do
    assert (await client.read("/internal/users/ada/entitlements"))["plan"] == "pro"


def of_a_known_product(user: str) -> Story:
    return Story(user, keyed("price_1", None, product="prod_of_pro"), at=START)


async def test_a_price_is_found_by_its_product(client: Client) -> None:
    for found in await after_each_order(client, of_a_known_product):
        assert found["has"]["plan"] == "pro"


def switched_to_an_unmapped_price(user: str) -> Story:
    story = Story(user, item("team", "si_1", quantity=4), at=START)
    story.change(START + 60, item("price_new", "si_1", quantity=1))
    return story


def replaced_by_an_unmapped_price(user: str) -> Story:
    story = Story(user, item("team", "si_1", quantity=4), at=START)
    story.change(START + 60, item("price_new", "si_2", quantity=1))
    return story


def replaced_and_replaced_again(user: str) -> Story:
    story = replaced_by_an_unmapped_price(user)
    story.change(START + 120, item("price_newer", "si_3", quantity=1))
    return story


@pytest.mark.parametrize(
    "tell", [switched_to_an_unmapped_price, replaced_by_an_unmapped_price, replaced_and_replaced_again]
)
async def test_an_unmapped_price_never_lowers_what_a_payer_has(
    client: Client, tell: Callable[[str], Story]
) -> None:
    for found in await after_each_order(client, tell):
        assert (found["has"]["plan"], limit(found, "projects"), limit(found, "seats")) == ("team", 200, 4)
        assert found["plan_id"].startswith("price_new")


def only_the_switch_is_known(user: str) -> Story:
    story = Story(user, keyed("price_old", "pro_monthly"), at=START)
    story.change(START + 60, keyed("price_new", None))
    del story.events[1]
    return story


async def test_what_an_event_says_of_before_counts_where_the_event_of_then_is_lost(client: Client) -> None:
    for found in await after_each_order(client, only_the_switch_is_known):
        assert (found["has"]["plan"], found["plan_id"]) == ("pro", "price_new")


def removed_beside_an_unmapped_price(user: str) -> Story:
    story = Story(user, item("team", "si_1"), item("price_new", "si_2"), at=START)
    story.change(START + 60, item("price_new", "si_2"))
    return story


def first_bought_unmapped(user: str) -> Story:
    story = Story(user, item("price_new", "si_1"), at=START, status="incomplete")
    story.change(START, status="active")
    return story


def replaced_by_a_meter(user: str) -> Story:
    story = Story(user, item("team", "si_1"), at=START)
    story.change(START + 60, item("price_meter", "si_2", quantity=None))
    return story


@pytest.mark.parametrize(
    "tell", [removed_beside_an_unmapped_price, first_bought_unmapped, replaced_by_a_meter]
)
async def test_what_was_removed_or_never_had_gives_the_default_plan(
    client: Client, tell: Callable[[str], Story]
) -> None:
    for found in await after_each_order(client, tell):
        assert (found["has"]["plan"], limit(found, "projects")) == ("free", 3)


async def test_an_unmapped_price_is_announced_once_with_the_line_to_add(
    client: Client, database_url: str, tmp_path: Path
) -> None:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    with signals.price_unmapped.connected_to(hear):
        for user in ("ada", "bob"):
            for event in switched_to_an_unmapped_price(user).events:
                assert await client.send(event) == "processed"
        fee = Story("eve", item("team"), item("fee", quantity=None), at=START)
        assert [await client.send(event) for event in fee.events] == ["processed"] * 2
        await until(lambda: len(heard) == 1)
    assert [(each.id, each.subscription_id) for each in heard] == [("price_unmapped:price_new", "sub_ada")]
    assert heard[0].facts["gives"] == "team"
    assert 'prices = ["team", "team_yearly", "team_metered", "price_new"]' in heard[0].facts["remedy"]
    metrics = (await client.get("/metrics")).text
    assert "billing_unmapped_prices 1.0" in metrics
    summary = await client.read("/internal/users/ada/summary")
    assert [banner["kind"] for banner in summary["banners"]] == ["price_unmapped"]
    mapped = tmp_path / "mapped.toml"
    mapped.write_text(PLANS.replace('"team_metered"', '"team_metered", "price_new"'))
    async with running(database_url, clock=lambda: NOW, plans_file=mapped) as restarted:
        assert (await restarted.read("/internal/users/ada/summary"))["banners"] == []
        assert "billing_unmapped_prices 0.0" in (await restarted.get("/metrics")).text


# Cut lists.


def cut(story: Story, number: int) -> Story:
    """The story, with no more than one item shown in one of its events, as if Stripe sent so few."""
    listed = story.events[number]["data"]["object"]["items"]
    story.events[number]["data"]["object"]["items"] = listed | {
        "data": [each for each in listed["data"] if each["price"]["id"] == "fee"],
        "has_more": True,
    }
    return story


def cut_from_the_start(user: str) -> Story:
    return cut(Story(user, item("team", quantity=4), item("fee", quantity=None), at=START), 1)


async def test_a_cut_list_needs_a_refresh(client: Client) -> None:
    for found in await after_each_order(client, cut_from_the_start):
        assert (found["needs_refresh"], len(found["items"]), found["has"]["plan"]) == (True, 1, "free")


def cut_later(user: str) -> Story:
    story = Story(user, item("team", quantity=4), item("fee", quantity=None), at=START)
    story.change(START + 60, metadata={"tier": "a"})
    story.change(START + 120, metadata={"tier": "b"})
    return cut(cut(story, 2), 3)


async def test_a_cut_list_takes_nothing_back(client: Client) -> None:
    for found in await after_each_order(client, cut_later):
        assert (found["needs_refresh"], found["has"]["plan"], limit(found, "seats")) == (True, "team", 4)


def cut_after_a_removal(user: str) -> Story:
    story = Story(user, item("team"), item("pro"), item("fee", quantity=None), at=START)
    story.change(START + 60, item("pro"), item("fee", quantity=None))
    story.change(START + 120, metadata={"tier": "b"})
    return cut(story, 3)


async def test_what_a_whole_list_had_removed_does_not_come_back_with_a_cut_one(client: Client) -> None:
    for found in await after_each_order(client, cut_after_a_removal):
        assert (found["has"]["plan"], found["plan_id"]) == ("pro", "pro")


def cut_lines(user: str) -> Story:
    story = Story(user, item("pro", "si_1"), at=START)
    story.invoice(START, "in_1", line("pro", "si_1", START, START + MONTH, 900))
    story.invoice(START + 60, "in_2", line("other", "si_9", START, START + MONTH, 900))
    story.events[-1]["data"]["object"]["lines"]["has_more"] = True
    return story


async def test_a_cut_list_of_lines_needs_a_refresh_and_takes_nothing_back(client: Client) -> None:
    for found in await after_each_order(client, cut_lines):
        assert (found["needs_refresh"], found["paid_through"]) == (True, START + MONTH)
