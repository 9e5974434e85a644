"""The configuration of the customer portal: what the plans file sells, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from app.billing.customers import stripe_of
from app.billing.portal_configuration import CONFIGURATIONS, MAX_PRODUCTS, set_up_portal
from app.plans import Catalogue, load_catalogue

from ..shop import Shop, shop

PLANS = """
[features]
projects = { kind = "allocated" }
[plans.old]
sold = false
prices = ["price_starter"]
projects = 1
[plans.team]
prices = ["price_team", "price_team_yearly"]
min_quantity = 2
max_quantity = 50
projects = { limit = 10, per_unit = true }
"""


def catalogue(folder: Path, text: str = PLANS) -> Catalogue:
    path = folder / "plans.toml"
    path.write_text(text)
    return load_catalogue(path)


def stored(here: Shop) -> list[Any]:
    return list(here.account.records.get("billing_portal.configuration", {}).values())


async def set_up(here: Shop, plans: Catalogue, *, apply: bool = True) -> Any:
    api, _ = stripe_of(here.service)
    return await set_up_portal(api, plans, apply=apply)


async def test_it_has_what_is_sold_and_a_second_run_changes_nothing(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with shop(sqlite_database) as here:
        plans = catalogue(tmp_path)
        shown = await set_up(here, plans, apply=False)
        assert (shown.action, shown.id, stored(here)) == ("created", None, [])
        made = await set_up(here, plans)
        [configuration] = stored(here)
        assert (made.action, made.id) == ("created", configuration.id)
        update = configuration.content["features"]["subscription_update"]
        products = {here.account.prices[price].product for price in ("price_team", "price_team_yearly")}
        assert {each["product"] for each in update["products"]} == products
        prices = [price for each in update["products"] for price in each["prices"]]
        assert sorted(prices) == ["price_team", "price_team_yearly"], "not the one that is no longer sold"
        assert update["products"][0]["adjustable_quantity"] == {"enabled": True, "minimum": 2, "maximum": 50}
        assert [each["type"] for each in update["schedule_at_period_end"]["conditions"]] == [
            "decreasing_item_amount",
            "shortening_interval",
        ]
        again = await set_up(here, plans)
        assert (again.action, again.id) == ("unchanged", made.id)


async def test_a_price_that_is_no_longer_sold_is_taken_out(sqlite_database: str, tmp_path: Path) -> None:
    async with shop(sqlite_database) as here:
        made = await set_up(here, catalogue(tmp_path))
        less = PLANS.replace(', "price_team_yearly"]', ']\nunsold_prices = ["price_team_yearly"]')
        now = "[changes]\ndowngrade = 'now'\n" + less
        shown = await set_up(here, catalogue(tmp_path, now), apply=False)
        assert (shown.action, shown.id) == ("updated", made.id)
        await set_up(here, catalogue(tmp_path, now))
        [configuration] = stored(here)
        update = configuration.content["features"]["subscription_update"]
        assert [each["prices"] for each in update["products"]] == [["price_team"]]
        assert (await set_up(here, catalogue(tmp_path, now))).action == "unchanged"


async def test_somebody_elses_configuration_is_left_alone(sqlite_database: str, tmp_path: Path) -> None:
    async with shop(sqlite_database) as here:
        api, _ = stripe_of(here.service)
        features = {"invoice_history": {"enabled": True}}
        await api.post(CONFIGURATIONS, features=features, metadata={"team": "sales"})
        [theirs] = stored(here)
        before = dict(theirs.content)
        assert (await set_up(here, catalogue(tmp_path))).action == "created"
        assert theirs.content == before and len(stored(here)) == 2


async def test_products_beyond_those_that_stripe_takes_are_named(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with shop(sqlite_database) as here:
        text = "[features]\nprojects = { kind = 'allocated' }\n"
        for number in range(MAX_PRODUCTS + 2):
            here.account.create_price(f"price_{number}", 100)
            text += f"[plans.plan_{number}]\nprices = ['price_{number}']\nprojects = {number + 1}\n"
        result = await set_up(here, catalogue(tmp_path, text))
        assert len(result.left_out) == 2 and len(stored(here)) == 1


@pytest.mark.parametrize("flow", ["subscription_update", None])
async def test_sessions_use_the_configuration_that_is_set(
    sqlite_database: str, tmp_path: Path, flow: str | None
) -> None:
    async with shop(sqlite_database) as first:
        made = await set_up(first, catalogue(tmp_path))
        account = first.account
    async with shop(sqlite_database, account=account, stripe_portal_configuration=made.id) as here:
        await here.bought()
        body = {"user_id": "user_ada", "return_url": "https://app.example.com/billing"}
        opened = await here.done("portal-sessions", body | ({"flow": flow} if flow else {}))
        assert opened["url"]
