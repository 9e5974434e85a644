"""Prices with amounts: their lookup keys buy the plan, and what is wrong is said in the words of the file."""

from pathlib import Path

import pytest

from app.errors import ConfigurationError

from .catalogue_file import FEATURES, load

PRICE = """
[[plans.team.price]]
lookup_key = "team_month"
amount = 2900
currency = "usd"
interval = "month"
"""


def test_the_lookup_key_of_a_price_buys_its_plan(tmp_path: Path) -> None:
    catalogue = load(tmp_path / "plans.toml", f"{FEATURES}[plans.team]\nprojects = 3\n{PRICE}")
    assert catalogue.plans["team"].lookup_keys == ("team_month",)
    assert catalogue.owner_of("price_1", ["team_month"]) is catalogue.plans["team"]
    assert catalogue.plans["team"].is_sold


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"amount = 2900": "amount = -1"}, "greater than or equal to 0"),
        ({"amount = 2900": "amount = 29.0"}, "valid integer"),
        ({'"usd"': '"USD"'}, "currency"),
        ({'"month"': '"fortnight"'}, "is to be exactly one of 'day', 'week', 'month' or 'year'"),
        ({"amount": "sum"}, "known here: lookup_key, amount, currency, interval, interval_count"),
    ],
)
def test_a_price_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, str], problem: str) -> None:
    price = PRICE
    for old, new in changed.items():
        price = price.replace(old, new)
    with pytest.raises(ConfigurationError, match=problem):
        load(tmp_path / "plans.toml", f"{FEATURES}[plans.team]\n{price}")


def test_a_lookup_key_stands_in_one_place(tmp_path: Path) -> None:
    text = f'{FEATURES}[plans.team]\nlookup_keys = ["team_month"]\n{PRICE}'
    with pytest.raises(ConfigurationError, match="team_month is in plan 'team' already"):
        load(tmp_path / "plans.toml", text)
