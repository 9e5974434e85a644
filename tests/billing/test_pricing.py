"""What a pricing page shows, and where its amounts and names come from."""

import asyncio
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from app.db.models import Price, Product
from app.simulator import Account

from ..client import Client, running
from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated", name = "Projects", unit = "projects" }
storage = { kind = "allocated", unit = "bytes" }
sso = { kind = "boolean", description = "SAML" }

[plans.free]
name = "Free"
projects = 1

[plans.team]
name = "Team"
prices = ["price_team", "price_team_euro", "price_team_yearly"]
trial_days = 14
projects = { limit = 10, per_unit = true }
storage = "10 GiB"

[plans.team.trial]
projects = 3
sso = true

[plans.gold]
order = 1
lookup_keys = ["gold_monthly"]
projects = "unlimited"

[plans.legacy]
sold = false
prices = ["price_legacy"]

[addons.more]
name = "More projects"
prices = ["price_more_projects"]
projects = 50
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


def account_with_prices() -> Account:
    account = Account(5)
    account.create_price("price_team_euro", 2_500, currency="eur")
    account.create_price("price_team_yearly", 29_000, interval="year")
    account.create_price("price_gold", 9_900)
    account.update_price("price_gold", lookup_key="gold_monthly")
    account.create_price("price_legacy", 900)
    return account


async def sold(here: Shop, **params: Any) -> dict[str, Any]:
    answer = await here.client.read("/internal/plans", **params)
    return {each["plan"]: each for each in answer["plans"]} | {
        each["addon"]: each for each in answer["addons"]
    }


async def test_a_pricing_page_has_names_features_trials_and_amounts(
    any_database_url: str, plans: Path
) -> None:
    async with shop(any_database_url, account=account_with_prices(), plans_file=plans) as here:
        shown = await sold(here)
        assert list(shown) == ["gold", "free", "team", "more"], "in the order of the page; legacy is not sold"
        team = shown["team"]
        assert (team["name"], team["trial_days"], shown["free"]["is_default"]) == ("Team", 14, True)
        assert [price["text"] for price in team["prices"]] == [
            "29.00 USD a month",
            "25.00 EUR a month",
            "290.00 USD a year",
        ]
        features = {each["feature"]: each for each in team["features"]}
        projects = features["projects"]
        assert (projects["text"], projects["per_unit"], projects["trial_text"]) == (
            "10 projects",
            True,
            "3 projects",
        )
        assert features["storage"]["text"] == "10 GiB"
        assert (features["sso"]["text"], features["sso"]["trial_text"]) == ("not included", "included")
        assert shown["gold"]["name"] == "Gold", "Stripe's own name of the product"
        assert [price["text"] for price in shown["gold"]["prices"]] == ["99.00 USD a month"]
        assert shown["free"]["prices"] == []
        assert shown["more"]["name"] == "More projects"

        euros = await sold(here, currency="EUR")
        assert [price["text"] for price in euros["team"]["prices"]] == ["25.00 EUR a month"]
        assert euros["gold"]["prices"] == []
        assert (await here.client.get("/internal/plans", currency="euros")).status_code == 422


async def test_what_is_known_is_not_asked_for_again(any_database_url: str, plans: Path) -> None:
    async with shop(any_database_url, account=account_with_prices(), plans_file=plans) as here:
        await sold(here)
        asked = sum(here.traffic.by_path.values())
        await sold(here)
        assert sum(here.traffic.by_path.values()) == asked


async def test_a_price_that_stripe_no_longer_sells_is_not_shown(any_database_url: str, plans: Path) -> None:
    account = account_with_prices()
    async with shop(any_database_url, account=account, plans_file=plans) as here:
        await sold(here)
        here.delivered = len(account.events)
        account.update_price("price_team_euro", active=False)
        await here.hear()
        assert [price["currency"] for price in (await sold(here))["team"]["prices"]] == ["usd", "usd"]


async def test_while_stripe_is_down_the_page_shows_all_but_the_amounts(
    sqlite_database: str, plans: Path
) -> None:
    closed = "http://127.0.0.1:9"
    async with shop(sqlite_database, plans_file=plans, stripe_api_base=closed) as here:
        shown = await sold(here)
        assert (shown["team"]["name"], shown["team"]["prices"]) == ("Team", [])
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert [choice["offers"] for choice in summary["choices"]] == [[], []]


async def test_a_summary_says_plan_and_amount_and_never_the_id_of_a_price(
    any_database_url: str, plans: Path
) -> None:
    async with shop(any_database_url, account=account_with_prices(), plans_file=plans) as here:
        await here.bought(price_id="price_team_euro", quantity=3, trial_days=0)
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        (subscription,) = summary["subscriptions"]
        assert (summary["plan_name"], subscription["plan_name"]) == ("Team", "Team")
        assert [price["text"] for price in subscription["prices"]] == ["Team, 3 × 25.00 EUR a month"]
        (gold,) = summary["choices"]
        assert (gold["name"], [each["text"] for each in gold["offers"]]) == ("Gold", ["99.00 USD a month"])
        assert summary["usage"][0]["text"] == "0 of 30 projects"
        (change, *_) = gold["changes"]
        assert (change["name"], change["text_now"], change["text_then"]) == (
            "Projects",
            "30 projects",
            "unlimited",
        )


async def test_a_subscription_on_trial_says_that_its_limits_are_the_trials(
    sqlite_database: str, plans: Path
) -> None:
    account = account_with_prices()
    async with shop(sqlite_database, account=account, plans_file=plans) as here:
        customer = account.create_customer("ada@example.com", user_id=USER)
        account.create_subscription(customer, "price_team", trial_days=14)
        await here.hear()
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert summary["subscriptions"][0]["trial_limits"] is True
        assert summary["usage"][0]["limit"] == 3


async def test_names_and_amounts_are_those_of_the_newest_event_in_whatever_order_they_come(
    any_database_url: str, plans: Path
) -> None:
    """Without a key: events alone say what a price costs and what a product is called."""
    async with running(any_database_url, plans_file=plans) as client:
        for number, order in enumerate(permutations(range(4))):
            price, product = f"price_{number}", f"prod_{number}"
            events = [
                price_event(price, "created", 10, unit_amount=2900, lookup_key="a"),
                price_event(price, "updated", 20, unit_amount=2900, lookup_key="b", nickname="New"),
                price_event(price, "updated", 30, unit_amount=2900, lookup_key=None),
                price_event(price, "deleted", 30, unit_amount=2900, lookup_key=None),
            ]
            named = [
                product_event(product, "created", 10, name="One"),
                product_event(product, "updated", 20, name="Two"),
                product_event(product, "updated", 30, name="Three"),
                product_event(product, "deleted", 30, name="Three"),
            ]
            for place in order:
                assert await client.send(events[place]) == "processed"
                assert await client.send(named[place]) == "processed"
            row, told = await rows(client, price, product)
            assert row.shown is not None and row.lookup_key is None, order
            assert (row.shown["unit_amount"], row.shown["active"]) == (2900, False)
            assert row.lookup_keys.keys() == {"a", "b"}
            assert (told.name, told.active) == ("Three", False)


async def test_of_one_batch_the_newest_counts_too(any_database_url: str, plans: Path) -> None:
    async with running(any_database_url, plans_file=plans) as client:
        events = [product_event("prod_1", "updated", at, name=f"Name {at}") for at in (30, 10, 20)]
        await asyncio.gather(*(client.send(event) for event in events))
        _, product = await rows(client, "price_none", "prod_1")
        assert product.name == "Name 30"


async def test_a_price_in_several_currencies_is_shown_in_each(any_database_url: str, plans: Path) -> None:
    account = account_with_prices()
    euro = account.prices["price_team_euro"]
    account.add_price(replace(euro, currency_options={"gbp": 2_300, "usd": 3_100, "jpy": 4_200}))
    async with shop(any_database_url, account=account, plans_file=plans) as here:
        team = (await sold(here))["team"]
        assert [(price["price_id"], price["text"]) for price in team["prices"]] == [
            ("price_team", "29.00 USD a month"),
            ("price_team_euro", "25.00 EUR a month"),
            ("price_team_euro", "23.00 GBP a month"),
            ("price_team_euro", "4,200 JPY a month"),
            ("price_team_yearly", "290.00 USD a year"),
        ], "in dollars the first of the plans file"
        pounds = (await sold(here, currency="GBP"))["team"]["prices"]
        assert [(price["currency"], price["unit_amount"]) for price in pounds] == [("gbp", 2300)]


async def test_other_currencies_are_as_stripe_shows_them_when_it_was_asked_last(
    any_database_url: str, plans: Path
) -> None:
    account = account_with_prices()
    async with shop(any_database_url, account=account, plans_file=plans) as here:
        await here.hear()
        assert (await sold(here, currency="gbp"))["team"]["prices"] == []
        prices = here.service.prices
        assert prices is not None
        for amount in (2_300, 2_400):
            euro = account.prices["price_team_euro"]
            account.prices["price_team_euro"] = replace(euro, currency_options={"gbp": amount})
            await prices.fetch_all()
            account.advance(1)
            account.change_price_object(replace(account.prices["price_team_euro"], nickname=f"{amount}"))
            await here.hear()  # no event shows them
            (pounds,) = (await sold(here, currency="gbp"))["team"]["prices"]
            assert pounds["unit_amount"] == amount


async def test_events_in_any_order_leave_the_other_currencies_that_were_read(
    any_database_url: str, plans: Path
) -> None:
    async with running(any_database_url, plans_file=plans) as client:
        for number, order in enumerate(permutations(range(4))):
            price = f"price_{number}"
            events = [
                price_event(price, "created", 10, unit_amount=2900),
                price_event(price, "updated", 20, unit_amount=2900, currency_options=options(2300)),
                price_event(price, "updated", 30, unit_amount=2900, currency_options=options(2400)),
                price_event(price, "updated", 40, unit_amount=3000),
            ]
            if number % 2:
                await asyncio.gather(*(client.send(events[place]) for place in order))  # in one batch or two
            else:
                for place in order:
                    assert await client.send(events[place]) == "processed"
            row, _ = await rows(client, price, "prod_0")
            assert row.shown["unit_amount"] == 3000
            assert {key: each["unit_amount"] for key, each in row.currencies.items()} == {"gbp": 2400}, order


def options(pounds: int) -> dict[str, Any]:
    return {
        "eur": {"unit_amount": 2900},
        "gbp": {"unit_amount": pounds},
        "much": {"unit_amount": 1},
        "usd": 5,
    }


def price_event(id: str, step: str, created: int, **content: Any) -> dict[str, Any]:
    recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    price = {"id": id, "object": "price", "active": True, "currency": "eur", "recurring": recurring}
    return event(f"price.{step}", created, price | {"product": "prod_0"} | content)


def product_event(id: str, step: str, created: int, **content: Any) -> dict[str, Any]:
    return event(f"product.{step}", created, {"id": id, "object": "product", "active": True} | content)


def event(type: str, created: int, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{type}_{content['id']}_{created}",
        "object": "event",
        "type": type,
        "created": 1_700_000_000 + created,
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": content},
    }


async def rows(client: Client, price_id: str, product_id: str) -> tuple[Any, Any]:
    async with client.app.state.billing.database.reading() as session:
        return await session.get(Price, price_id), await session.get(Product, product_id)
