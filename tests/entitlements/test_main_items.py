"""A subscription whose main item is another one than when its record was written."""

from dataclasses import replace
from typing import Any

import pytest

from app.db.models import RULES_VERSION
from app.entitlements import main_item_values
from app.plans import PriceList

from .givens import CATALOGUE, DAY, END, NOW, START, TEXT, Sub, catalogue_of, of

YEAR_END = START + 365 * DAY


def held(price_id: str, end: int, quantity: int = 1) -> dict[str, Any]:
    return {
        "item_id": f"si_{price_id}",
        "price_id": price_id,
        "quantity": quantity,
        "current_period_start": START,
        "current_period_end": end,
    }


BOTH = Sub(items=[held("starter", END), held("enterprise", YEAR_END, 2)], plan_id="starter", quantity=1)
LISTED = catalogue_of(
    TEXT
    + """
[plans.enterprise]
prices = ["enterprise"]
calls = 7
"""
)


def test_a_price_that_is_listed_afterwards_gives_its_own_term() -> None:
    over = END + 30 * DAY
    assert of(BOTH, now=over).access == "none", "the month is over, and the year is of no plan"
    user = of(BOTH, now=over, catalogue=LISTED)
    assert (user.plan, user.access) == ("enterprise", "full")
    assert user.period_of("calls", over) == (START, YEAR_END)
    values = main_item_values(BOTH, PriceList(LISTED, {}))
    assert (values["plan_id"], values["quantity"], values["expiry_date"]) == ("enterprise", 2, YEAR_END)
    assert main_item_values(BOTH, PriceList(CATALOGUE, {})) == {}


@pytest.mark.parametrize(
    ("changes", "expiry"),
    [
        ({"cancel_at": NOW + DAY}, NOW + DAY),
        ({"cancel_at": YEAR_END + DAY}, YEAR_END),
        ({"cancel_at_period_end": True}, END),
    ],
)
def test_its_term_ends_where_the_subscription_does(changes: dict[str, Any], expiry: int) -> None:
    values = main_item_values(replace(BOTH, **changes), PriceList(LISTED, {}))
    assert values["expiry_date"] == expiry


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "canceled"},
        {"status": None},
        {"rules_version": RULES_VERSION - 1},
        {"overlay": {"created": NOW, "values": {"status": "active"}}},
        {"plan_id": "enterprise"},
    ],
    ids=["over", "provisional", "of an older release", "internal update", "right already"],
)
def test_other_records_stay_as_they_are(changes: dict[str, Any]) -> None:
    assert main_item_values(replace(BOTH, **changes), PriceList(LISTED, {})) == {}
