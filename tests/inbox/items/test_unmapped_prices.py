"""Prices that the plans file lists by a lookup key or a product, and those that it does not list."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app import signals
from app.signals import Reaction

from ...client import Client, running
from ...waiting import until
from ..subscription_story import told
from .helpers import NOW, PLANS, START, YEAR, Item, Story, after_each_order, item, limit

pytestmark = pytest.mark.postgresql_in_long


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


def monthly_beside_a_year_of_which_its_key_tells(user: str) -> Story:
    yearly = f"yearly_{user}"
    story = Story(user, item("pro", "si_1"), item(yearly, "si_2", interval="year"), at=START)
    price = {"id": yearly, "object": "price", "lookup_key": "pro_monthly", "product": "prod_other"}
    story.events.append(told("price.updated", START - 60, price))
    return story


async def test_the_term_is_the_main_items_also_where_a_key_made_it_the_main_one_afterwards(
    client: Client,
) -> None:
    for found in await after_each_order(client, monthly_beside_a_year_of_which_its_key_tells):
        assert found["plan_id"].startswith("yearly_")
        assert (found["expiry_date"], found["access"]) == (START + YEAR, "full")
        user = found["user_id"]
        summary = await client.read(f"/internal/users/{user}/summary")
        assert summary["subscriptions"][0]["renews_at"] == START + YEAR


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
