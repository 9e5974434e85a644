"""What is no longer sold is kept by those who have it, and offered to nobody else."""

from pathlib import Path

import pytest

from app.billing.price_choice import offered_prices
from app.simulator import Account

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated" }

[plans.free]
projects = 1

[plans.legacy]
name = "Team 2021"
prices = ["price_legacy"]
sold = false
projects = { limit = 100, per_unit = true }

[plans.team]
name = "Team"
prices = ["price_team"]
unsold_prices = ["price_team_2024"]
products = ["prod_team"]
projects = { limit = 10, per_unit = true }

[addons.old]
prices = ["price_addon"]
sold = false
projects = 5
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


def account_of_old_prices() -> Account:
    account = Account(3)
    for price in ("price_legacy", "price_team_2024", "price_addon"):
        account.create_price(price, 900)
    return account


async def subscribed(here: Shop, price: str) -> str:
    """Ada subscribes to the price as if long ago, when it was sold."""
    customer = here.account.create_customer("ada@example.com", user_id=USER)
    subscription = here.account.create_subscription(customer, price)
    await here.hear()
    here.account.advance(60)
    return subscription.id


async def test_nobody_buys_or_changes_to_what_is_not_sold(any_database_url: str, plans: Path) -> None:
    legacy = "Plan 'Team 2021' is no longer sold"
    price = "Price price_team_2024 of plan 'Team' is no longer sold"
    async with shop(any_database_url, account=account_of_old_prices(), plans_file=plans) as here:
        await here.hear()
        for order, said in (
            ({"plan": "legacy"}, legacy),
            ({"price_id": "price_legacy"}, legacy),
            ({"price_id": "price_team_2024"}, price),
            ({"price_id": "price_addon"}, "Add-on 'old' is no longer sold"),
        ):
            refused = await here.order(**order)
            assert (refused.status_code, said in refused.json()["detail"]) == (422, True), order
        assert not here.account.sessions

        bought = await here.bought(plan="team")
        for wanted, said in (
            ({"plan": "legacy"}, legacy),
            ({"price_id": "price_legacy"}, legacy),
            ({"price_id": "price_team_2024"}, price),
        ):
            refused = await here.post(f"subscriptions/{bought.id}/change", wanted)
            assert (refused.status_code, said in refused.json()["detail"]) == (422, True), wanted
            assert "Sold are: 'team'" in refused.json()["detail"]
        assert bought.items[0].price.id == "price_team"


@pytest.mark.parametrize(("price", "plan"), [("price_legacy", "legacy"), ("price_team_2024", "team")])
async def test_whoever_has_it_keeps_it_and_changes_its_quantity(
    any_database_url: str, plans: Path, price: str, plan: str
) -> None:
    async with shop(any_database_url, account=account_of_old_prices(), plans_file=plans) as here:
        subscription = await subscribed(here, price)
        path = f"subscriptions/{subscription}/change"
        more = await here.done(path, {"quantity": 3})
        assert (more["plan_id"], more["quantity"], await here.plan_of()) == (price, 3, plan)
        by_name = await here.done(path, {"plan": plan, "quantity": 2, "when": "now"})
        assert (by_name["plan_id"], by_name["quantity"]) == (price, 2)


async def test_whoever_has_it_changes_to_a_plan_that_is_sold(any_database_url: str, plans: Path) -> None:
    async with shop(any_database_url, account=account_of_old_prices(), plans_file=plans) as here:
        subscription = await subscribed(here, "price_legacy")
        changed = await here.done(f"subscriptions/{subscription}/change", {"plan": "team", "confirm": True})
        assert changed["plan_id"] == "price_team"


async def test_no_choice_and_no_advice_names_it(any_database_url: str, plans: Path) -> None:
    async with shop(any_database_url, account=account_of_old_prices(), plans_file=plans) as here:
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert [each["plan"] for each in summary["choices"]] == ["team"]
        assert summary["choices"][0]["prices"] == ["price_team"]
        usage = f"users/{USER}/usage/projects"
        await here.done(usage, {"op": "set", "amount": 5})
        denied = await here.post(usage, {"op": "consume", "amount": 1})
        assert (denied.status_code, denied.json()["upgrade_to"]) == (403, ["team"])
        assert "legacy" not in denied.text


async def test_a_page_offers_only_the_prices_that_are_sold(sqlite_database: str, plans: Path) -> None:
    """Though Stripe still sells the old price of the product."""
    account = account_of_old_prices()
    async with shop(sqlite_database, account=account, plans_file=plans) as here:
        offered = await offered_prices(here.service, "team")
        assert [each.price_id for each in offered] == ["price_team"]
        assert await offered_prices(here.service, "legacy") == []
