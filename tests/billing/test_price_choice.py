"""Which price a change to a plan means, and which quantities buy something."""

from pathlib import Path
from typing import Any

import pytest

from app.simulator import Account

from ..shop import USER, shop

pytestmark = pytest.mark.postgresql_in_long


def account_with_prices() -> Account:
    account = Account(1)
    account.create_price("price_team_yearly", 29_000, interval="year")
    return account


async def test_a_change_by_the_plans_name_keeps_the_interval(database_url: str) -> None:
    async with shop(database_url, account=account_with_prices()) as here:
        subscription = await here.bought(price_id="price_team_yearly")
        answer = await here.post(f"subscriptions/{subscription.id}/change", {"plan": "starter"})
        assert answer.status_code == 409
        assert answer.json()["choices"] == [
            {
                "price_id": "price_starter",
                "interval": "month",
                "interval_count": 1,
                "currency": "usd",
                "unit_amount": 900,
            }
        ]
        assert "price_id of one of the choices" in answer.json()["detail"]
        changed = await here.done(
            f"subscriptions/{subscription.id}/change",
            {"price_id": "price_starter", "when": "now", "confirm": True},
        )
        assert changed["plan_id"] == "price_starter"
        here.account.advance(60)
        again = await here.done(f"subscriptions/{subscription.id}/change", {"plan": "team"})
        assert again["plan_id"] == "price_team", "the monthly one, though a yearly one is there, too"


async def test_a_plan_that_stripe_does_not_sell_offers_no_choice_of_nothing(any_database_url: str) -> None:
    account = Account(1)
    account.update_price("price_starter", active=False)
    async with shop(any_database_url, account=account) as here:
        subscription = await here.bought(price_id="price_team")
        answer = await here.post(f"subscriptions/{subscription.id}/change", {"plan": "starter"})
    assert answer.status_code == 422
    assert "Plan 'starter' has no price in the plans file that Stripe sells" in answer.json()["detail"]
    assert "doctor" in answer.json()["detail"]


async def test_a_change_to_the_plan_that_there_is_keeps_its_price(database_url: str) -> None:
    async with shop(database_url, account=account_with_prices()) as here:
        subscription = await here.bought(price_id="price_team_yearly")
        changed = await here.done(f"subscriptions/{subscription.id}/change", {"plan": "team", "quantity": 2})
        assert (changed["plan_id"], changed["quantity"]) == ("price_team_yearly", 2)


async def test_a_price_in_another_currency_is_not_taken_for_the_same(database_url: str) -> None:
    account = Account(1)
    account.create_price("price_team_yearly", 2900, currency="eur")
    async with shop(database_url, account=account) as here:
        subscription = await here.bought(price_id="price_starter")
        changed = await here.done(f"subscriptions/{subscription.id}/change", {"plan": "team"})
        assert changed["plan_id"] == "price_team"
        euros = await here.bought("user_bob", price_id="price_team_yearly")
        answer = await here.post(f"subscriptions/{euros.id}/change", {"plan": "starter"})
        assert (answer.status_code, answer.json()["choices"][0]["currency"]) == (409, "usd")


async def test_the_own_subscription_of_an_addon_is_never_turned_into_a_plan(database_url: str) -> None:
    async with shop(database_url) as here:
        await here.bought()
        addon = await here.bought(price_id="price_more_projects", allow_second=True)
        for wanted in ({"plan": "starter"}, {"price_id": "price_starter"}):
            answer = await here.post(f"subscriptions/{addon.id}/change", wanted)
            assert answer.status_code == 409
            assert "more_projects" in answer.json()["detail"]
        assert [item.price.id for item in addon.items] == ["price_more_projects"]
        more = await here.done(f"subscriptions/{addon.id}/change", {"quantity": 3})
        assert more["quantity"] == 3
        entitlements = await here.client.read(f"/internal/users/{USER}/entitlements")
        assert entitlements["features"]["projects"]["limit"] == 10 + 3 * 50


@pytest.mark.parametrize("quantity", [0, 5])
async def test_a_quantity_that_buys_nothing_is_refused(database_url: str, quantity: int) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(price_id="price_starter")
        answer = await here.post(f"subscriptions/{subscription.id}/change", {"quantity": quantity})
        assert answer.status_code == 422
        assert "quantity" in answer.json()["detail"]
        assert subscription.items[0].quantity == 1


async def test_a_checkout_of_a_quantity_that_buys_nothing_is_refused(database_url: str) -> None:
    async with shop(database_url) as here:
        answer = await here.order(price_id="price_starter", quantity=5)
        assert answer.status_code == 422
        assert "no limit per unit" in answer.json()["detail"]
        assert (await here.order(quantity=5)).status_code == 200


BY_KEY_AND_PRODUCT = """
[features]
projects = { kind = "allocated" }
seats = { kind = "allocated" }

[plans.starter]
prices = ["price_starter"]
projects = 3

[plans.gold]
lookup_keys = ["gold_monthly", "gold_yearly"]
projects = 100
seats = { limit = 1, per_unit = true }

[plans.silver]
products = ["prod_silver"]
projects = 50
"""


def account_of_keys_and_products() -> Account:
    account = Account(1)
    account.create_price("price_gold_y", 90_000, interval="year")
    account.update_price("price_gold_y", lookup_key="gold_yearly")
    account.create_price("price_gold_m", 9_000)
    account.update_price("price_gold_m", lookup_key="gold_monthly")
    account.create_price("price_silver", 5_000)
    return account


@pytest.mark.parametrize(
    ("order", "price", "plan"),
    [
        ({"plan": "gold", "quantity": 2}, "price_gold_m", "gold"),
        ({"price_id": "price_gold_y", "quantity": 2}, "price_gold_y", "gold"),
        ({"plan": "silver"}, "price_silver", "silver"),
        ({"price_id": "price_silver"}, "price_silver", "silver"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["seen before", "never seen"])
@pytest.mark.rest_in_long(3)
async def test_a_plan_that_lists_keys_or_products_is_bought_and_changed_to(
    any_database_url: str, tmp_path: Path, order: dict[str, Any], price: str, plan: str, known: bool
) -> None:
    """`known`: whether an event has told of the price; else it is read at Stripe."""
    plans, account = tmp_path / "plans.toml", account_of_keys_and_products()
    plans.write_text(BY_KEY_AND_PRODUCT)
    async with shop(any_database_url, account=account, plans_file=plans) as here:
        here.delivered = 0 if known else len(account.events)
        await here.hear()
        bought = await here.bought(**order)
        assert ([item.price.id for item in bought.items], await here.plan_of()) == ([price], plan)

        other = await here.bought("user_bob", price_id="price_starter")
        wanted = {"plan": plan} if "plan" in order else {"price_id": price}
        changed = await here.done(f"subscriptions/{other.id}/change", wanted)
        assert (changed["plan_id"], await here.plan_of("user_bob")) == (price, plan)
        quantity = await here.post(f"subscriptions/{other.id}/change", {**wanted, "quantity": 5})
        assert quantity.status_code == (200 if plan == "gold" else 422)


async def test_a_product_of_several_prices_is_bought_by_one_of_them(
    any_database_url: str, tmp_path: Path
) -> None:
    plans, account = tmp_path / "plans.toml", account_of_keys_and_products()
    plans.write_text(BY_KEY_AND_PRODUCT.replace('["prod_silver"]', '["prod_silver", "prod_gold_m"]'))
    async with shop(any_database_url, account=account, plans_file=plans) as here:
        refused = await here.order(plan="silver")
        assert refused.status_code == 409
        assert [each["price_id"] for each in refused.json()["choices"]] == ["price_silver", "price_gold_m"]
        account.update_price("price_silver", active=False)
        account.update_price("price_gold_m", active=False)
        refused = await here.order(plan="silver")
        assert (refused.status_code, "cannot be bought" in refused.json()["detail"]) == (422, True)
        assert (await here.order(price_id="price_team")).status_code == 404


async def test_the_summary_offers_a_plan_that_lists_keys_or_products(
    sqlite_database: str, tmp_path: Path
) -> None:
    plans, account = tmp_path / "plans.toml", account_of_keys_and_products()
    plans.write_text(BY_KEY_AND_PRODUCT)
    async with shop(sqlite_database, account=account, plans_file=plans) as here:
        await here.bought(price_id="price_starter")
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert [each["plan"] for each in summary["choices"]] == ["gold", "silver"]
