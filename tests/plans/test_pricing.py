"""What plans are called and cost, in words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.plans import Missing, PriceTerms, Pricing
from app.plans.shown import shown_limit, shown_number, shown_size

from .catalogue_file import FEATURES, load

MONTHLY = PriceTerms("price_1", active=True, currency="eur", unit_amount=2900, interval="month")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "29.00 EUR a month"),
        ({"interval": "year", "unit_amount": 2_900_000}, "29,000.00 EUR a year"),
        ({"interval_count": 3}, "29.00 EUR every 3 months"),
        ({"interval": None}, "29.00 EUR once"),
        ({"unit_amount": 0}, "0.00 EUR a month"),
        ({"currency": "jpy"}, "2,900 JPY a month"),
        ({"currency": "kwd"}, "2.900 KWD a month"),
        ({"currency": "ugx"}, "29.00 UGX a month"),
        ({"currency": None}, "2900 a month"),
        ({"metered": True, "unit_amount": 5}, "0.05 EUR for each unit used"),
        ({"metered": True, "unit_amount": 5, "divide_by": 1000}, "0.05 EUR for each 1,000 units used"),
        ({"divide_by": 5}, "29.00 EUR a month for each 5"),
        ({"unit_amount": None, "unit_amount_decimal": "0.5"}, "0.005 EUR a month"),
        ({"unit_amount": None, "unit_amount_decimal": "12.5", "currency": "jpy"}, "12.5 JPY a month"),
        ({"unit_amount": None, "tiers": "graduated"}, "a price that depends on the quantity"),
        ({"unit_amount": None, "custom": True}, "an amount of your choice"),
        ({"unit_amount": None}, None),
        ({"unit_amount": None, "unit_amount_decimal": "much"}, None),
        ({"unit_amount": None, "unit_amount_decimal": "1e999999"}, None),
        ({"unit_amount": None, "unit_amount_decimal": "NaN"}, None),
    ],
)
def test_a_price_is_said_in_words(changed: dict[str, Any], text: str | None) -> None:
    assert replace(MONTHLY, **changed).text == text


PLANS = (
    FEATURES
    + """
[plans.team]
name = "Team"
prices = ["team_old_currency", "team_month", "team_month_2", "team_year", "team_gone"]
unsold_prices = ["team_2019"]
[plans.gold]
lookup_keys = ["gold_month"]
[plans.silver]
products = ["prod_silver"]
[plans.legacy]
sold = false
prices = ["legacy"]
[addons.more]
prices = ["more"]
"""
)


@pytest.fixture
def pricing(tmp_path: Path) -> Pricing:
    def terms(id: str, amount: int, **changed: Any) -> PriceTerms:
        return replace(MONTHLY, price_id=id, unit_amount=amount, **changed)

    found = [
        terms("team_month", 2900),
        terms("team_month_2", 1900),
        terms("team_year", 29_000, interval="year"),
        terms("team_old_currency", 3900, currency="usd"),
        terms("team_gone", 1, interval="week", active=False),
        terms("team_2019", 900, interval="day"),
        terms("gold_new", 9900, lookup_key="gold_month", product_id="prod_gold"),
        terms("gold_old", 4900, lookup_key=None),
        terms("silver", 4900, product_id="prod_silver"),
        terms("silver_gone", 4800, product_id="prod_silver", active=False),
        terms("legacy", 700),
    ]
    return Pricing(
        load(tmp_path / "plans.toml", PLANS),
        {each.price_id: each for each in found},
        {"prod_silver": "Silver"},
    )


def test_each_interval_and_currency_has_the_first_price_that_is_sold(pricing: Pricing) -> None:
    plans = pricing.catalogue.plans
    assert [each.price_id for each in pricing.sold_at(plans["team"])] == [
        "team_old_currency",
        "team_month",
        "team_year",
    ]
    assert [each.price_id for each in pricing.sold_at(plans["gold"])] == ["gold_new"]
    assert [each.price_id for each in pricing.sold_at(plans["silver"])] == ["silver"]
    assert pricing.sold_at(plans["legacy"]) == ()


def test_a_price_in_several_currencies_is_one_of_each(pricing: Pricing) -> None:
    team, shown = pricing.catalogue.plans["team"], {"currency": "eur", "unit_amount": 2900, "active": True}
    in_pounds = {"unit_amount": 2300, "unit_amount_decimal": "2300", "custom": False}
    in_crowns = {"unit_amount": None, "unit_amount_decimal": "99.5", "custom": False}
    month = PriceTerms.of("team_month", shown | {"interval": "month"}, {"gbp": in_pounds, "dkk": in_crowns})
    found = replace(pricing, terms={**pricing.terms, "team_month": month})
    assert [(each.price_id, each.text) for each in found.sold_at(team)] == [
        ("team_old_currency", "39.00 USD a month"),
        ("team_month", "29.00 EUR a month"),
        ("team_month", "0.995 DKK a month"),
        ("team_month", "23.00 GBP a month"),
        ("team_year", "290.00 EUR a year"),
    ]
    advised = found.from_price(team, "gbp")
    assert advised is not None and advised.text == "23.00 GBP a month"


def test_a_plan_is_called_by_its_name_else_its_product_else_its_id(pricing: Pricing) -> None:
    assert [pricing.title(plan) for plan in pricing.catalogue.plans.values()] == [
        "Team",
        "gold",
        "Silver",
        "legacy",
    ]
    assert (pricing.plan_title("team"), pricing.plan_title("gone"), pricing.plan_title(None)) == (
        "Team",
        "gone",
        None,
    )


def test_a_price_is_said_with_its_plan_and_never_by_its_id(pricing: Pricing) -> None:
    team, month = pricing.catalogue.plans["team"], pricing.terms["team_month"]
    assert pricing.text(team, month) == "Team, 29.00 EUR a month"
    assert pricing.text(team, month, 3) == "Team, 3 × 29.00 EUR a month"
    assert pricing.text(team, PriceTerms("unknown")) == "Team"
    assert pricing.text(team, PriceTerms("unknown"), 3) == "Team, 3"
    assert pricing.text(None, PriceTerms("unknown", product_id="prod_silver")) == "Silver"
    assert pricing.text(None, PriceTerms("unknown")) == "a price without a name"


def test_what_is_missing_is_what_the_catalogue_lists_and_nothing_is_known_of(pricing: Pricing) -> None:
    assert pricing.missing() == Missing(("more", "gold_new", "legacy"), (), ()), "the last two for a name"
    assert Pricing(pricing.catalogue).missing() == Missing(
        ("team_old_currency", "team_month", "team_month_2", "team_year", "team_gone", "legacy", "more"),
        ("gold_month",),
        ("prod_silver",),
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**30, "1 GiB"),
        (10 * 2**30, "10 GiB"),
        (2**40 - 1, "1 TiB"),
        (2**63 - 1, "8 EiB"),
    ],
)
def test_bytes_are_shown_as_sizes(number: int, text: str) -> None:
    assert shown_size(number) == text


def test_limits_are_shown_with_their_units(tmp_path: Path) -> None:
    text = """
[features]
projects = { kind = "allocated", unit = "projects" }
storage = { kind = "allocated", unit = "bytes" }
sso = { kind = "boolean" }
tier = { kind = "static" }
[plans.a]
"""
    features = load(tmp_path / "plans.toml", text).features
    assert shown_limit(features["projects"], 1000) == "1,000 projects"
    assert shown_limit(features["projects"], None) == "unlimited"
    assert shown_limit(features["storage"], 2**20) == "1 MiB"
    assert (shown_limit(features["sso"], True), shown_limit(features["sso"], False)) == (
        "included",
        "not included",
    )
    assert shown_limit(features["tier"], "gold") == "gold"
    assert shown_number(features["tier"], 1.5) == "1.5"
