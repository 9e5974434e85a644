"""Which item of a subscription is the main one, and what an unmapped price leaves, in whatever order."""

from itertools import permutations
from typing import Any

import pytest

from app.plans import Catalogue, HeldItem, KnownPrice, PriceList, held_items, line_to_add, main_item
from tests.entitlements.givens import catalogue_of

CATALOGUE = catalogue_of("""
[features]
seats = { kind = "allocated" }
[plans.basic]
prices = ["basic", "basic_yearly"]
seats = 1
[plans.team]
prices = ["team", "team_yearly", "team_metered"]
seats = { limit = 1, per_unit = true }
[plans.keyed]
lookup_keys = ["keyed_monthly", "keyed_old"]
seats = 7
[plans.produced]
products = ["prod_produced"]
seats = 8
[addons.more]
prices = ["more"]
seats = 5
[ignored]
prices = ["setup_fee"]
lookup_keys = ["metered_calls"]
products = ["prod_fees"]
""")


def item(
    price: str | None, quantity: int | None = 1, id: str = "", interval: str = "month", **more: Any
) -> dict[str, Any]:
    return {
        "item_id": id or f"si_{price}",
        "price_id": price,
        "quantity": quantity,
        "interval": interval,
        "interval_count": 1,
    } | more


def main(
    items: list[dict[str, Any]], history: dict[str, Any] | None = None, catalogue: Catalogue = CATALOGUE
) -> HeldItem:
    """The main item, which is the same in every order of the list."""
    found = [main_item(held_items(order, history, PriceList(catalogue))) for order in permutations(items)]
    only = found[0]
    assert only is not None and all(each == only for each in found)
    return only


@pytest.mark.parametrize(
    ("items", "chosen"),
    [
        ([item("more", 9), item("basic"), item("team")], "team"),
        ([item("team", 3), item("team_metered", None, metered=True, interval="year")], "team"),
        ([item("team", 9), item("team_yearly", 2, interval="year")], "team_yearly"),
        ([item("team", 9, id="si_1"), item("team", 2, id="si_2")], "team"),
        ([item("unknown"), item("more", 3)], "unknown"),
        ([item("unknown"), item("basic")], "basic"),
        ([item("unknown", None, metered=True), item("other")], "other"),
        ([item("setup_fee"), item("more")], "more"),
        ([item(None), item("team")], "team"),
    ],
)
def test_the_main_item_is_of_the_highest_plan_then_licensed_long_and_many(
    items: list[dict[str, Any]], chosen: str
) -> None:
    assert main(items).price_id == chosen


def test_of_items_alike_the_greater_quantity_counts_and_then_the_id() -> None:
    assert main([item("team", 2, id="si_9"), item("team", 5, id="si_1")]).quantity == 5
    assert main([item("team", 2, id="si_1"), item("team", 2, id="si_2")]).item_id == "si_2"


def test_without_items_there_is_no_main_item() -> None:
    assert main_item(held_items([], None, PriceList(CATALOGUE))) is None


def offer_of(price: str, product: str | None = None, **known: KnownPrice) -> str | None:
    offer = PriceList(CATALOGUE, known).offer(price, product)
    return offer.id if offer else None


def test_a_price_is_found_by_id_then_lookup_key_then_product() -> None:
    keyed = KnownPrice("prod_produced", ("keyed_monthly",))
    assert offer_of("team", team=keyed) == "team"
    assert offer_of("price_1", price_1=keyed) == "keyed"
    assert offer_of("price_1", "prod_produced") == "produced"
    assert offer_of("price_1", price_1=KnownPrice("prod_produced", ("unheard_of",))) == "produced"
    assert offer_of("price_1", "prod_unheard_of") is None


def test_a_key_that_was_taken_from_a_price_still_finds_its_plan() -> None:
    assert offer_of("price_1", price_1=KnownPrice.of(None, {"unheard_of": 9, "keyed_old": 5})) == "keyed"


def test_the_key_that_a_price_was_given_last_counts_first() -> None:
    prices = catalogue_of("""
features = {}
[plans.first]
lookup_keys = ["one"]
[plans.second]
lookup_keys = ["two"]
""")
    for keys in ({"one": 1, "two": 2}, {"two": 2, "one": 1}):
        offer = PriceList(prices, {"price_1": KnownPrice.of(None, keys)}).offer("price_1")
        assert offer is not None and offer.id == "second"


def test_what_is_ignored_grants_nothing_and_is_not_unmapped() -> None:
    prices = PriceList(CATALOGUE, {"meter": KnownPrice(None, ("metered_calls",))})
    for price, product in (("setup_fee", None), ("meter", None), ("price_1", "prod_fees")):
        assert prices.offer(price, product) is None
        assert not prices.is_unmapped(price, product)
    assert prices.is_unmapped("price_1")
    assert not prices.is_unmapped(None)


# What an unmapped price leaves. Sightings: created, part, quantity, product, metered.

SEEN: dict[str, dict[str, Any]] = {"si_1": {"team": [10, 1, 4, None, False], "new": [20, 1, 1, None, False]}}


def test_a_plan_stays_where_its_item_has_an_unmapped_price_now() -> None:
    held = main([item("new", 1, id="si_1")], {"prices": SEEN})
    assert (held.plan and held.plan.id, held.price_id, held.units, held.unmapped) == ("team", "new", 4, True)


def test_more_units_of_the_unmapped_price_are_more_units_of_the_plan() -> None:
    assert main([item("new", 9, id="si_1")], {"prices": SEEN}).units == 9


def test_the_newest_mapped_price_is_the_one_that_stays() -> None:
    seen = {
        "si_1": {
            "team": [10, 1, 4, None, False],
            "basic": [15, 1, 1, None, False],
            "new": [20, 1, 1, None, False],
        }
    }
    held = main([item("new", id="si_1")], {"prices": seen})
    assert held.plan is not None and held.plan.id == "basic"


def test_an_item_that_was_replaced_in_one_step_leaves_its_plan() -> None:
    history = {
        "prices": SEEN | {"si_2": {"new": [20, 1, 1, None, False]}},
        "replaced": {"si_2": {"removed": ["si_1"], "beside": [], "read": False}},
    }
    held = main([item("new", id="si_2")], history)
    assert (held.plan and held.plan.id, held.units) == ("team", 4)
    metered = main([item("new", None, id="si_2", metered=True)], history)
    assert metered.offer is None, "a meter takes the place of no plan"


def test_two_items_that_replace_one_leave_its_plan_once() -> None:
    link = {"removed": ["si_1"], "beside": ["si_3"], "read": False}
    history = {"prices": SEEN, "replaced": {"si_2": link, "si_3": link}}
    held = held_items([item("new", id="si_2"), item("newer", id="si_3")], history, PriceList(CATALOGUE))
    assert [each.offer is not None for each in held] == [True, False]


def test_a_plan_beside_the_unmapped_price_is_what_replaced_the_old_one() -> None:
    seen = SEEN | {"si_2": {"new": [20, 1, 1, None, False]}, "si_3": {"basic": [20, 1, 1, None, False]}}
    link = {"removed": ["si_1"], "beside": ["si_3"], "read": False}
    items = [item("new", id="si_2"), item("basic", id="si_3")]
    held = held_items(items, {"prices": seen, "replaced": {"si_2": link}}, PriceList(CATALOGUE))
    assert [each.offer.id if each.offer else None for each in held] == ["basic", None]


def test_items_that_replace_each_other_in_a_circle_end() -> None:
    link = {"beside": [], "read": False}
    history = {"replaced": {"a": link | {"removed": ["b"]}, "b": link | {"removed": ["a"]}}}
    assert main([item("new", id="a")], history).offer is None


def test_an_item_that_was_removed_leaves_nothing() -> None:
    held = held_items([item("new", id="si_2")], {"prices": SEEN}, PriceList(CATALOGUE))
    assert [each.offer for each in held] == [None]


def test_the_line_to_add_names_plan_price_and_file() -> None:
    team = CATALOGUE.plans["team"]
    told = line_to_add("new", team)
    assert 'prices = ["team", "team_yearly", "team_metered", "new"]` under [plans.team]' in told
    assert "[addons.more]" in line_to_add("new", CATALOGUE.addons["more"])
    for text in (told, line_to_add("new")):
        assert '`prices = ["new"]` under [ignored]' in text and "PLANS_FILE" in text
