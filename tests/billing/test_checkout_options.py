"""What a checkout sells: several items, discounts, taxes, currencies, an embedded page, and what fits."""

from pathlib import Path
from typing import Any

import pytest

from app.simulator import Subscription
from app.simulator.api import complete_checkout
from app.simulator.model import CheckoutSession
from app.stripe.client import required

from ..shop import ORIGIN, USER, Shop, ordered, shop

pytestmark = pytest.mark.postgresql_in_long

MANY = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "period" }
[plans.free]
projects = 30
api_calls = 1_000
[plans.starter]
prices = ["price_starter"]
projects = 5
api_calls = 10
[plans.team]
prices = ["price_team", "price_team_yearly", "price_team_eur"]
projects = 50
api_calls = 10_000
[addons.more_projects]
prices = ["price_more_projects"]
projects = 50
[ignored]
prices = ["price_setup"]
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    path = tmp_path / "plans.toml"
    path.write_text(MANY)
    return path


def items(*each: dict[str, Any]) -> dict[str, Any]:
    return {"plan": None, "items": list(each)}


async def session_of(here: Shop, **changes: Any) -> CheckoutSession:
    return here.account.sessions[await here.opened(**changes)]


def lines_of(sold: CheckoutSession | Subscription) -> list[tuple[str, int]]:
    if isinstance(sold, CheckoutSession):
        return [(price.id, quantity) for price, quantity in sold.line_items]
    return [(item.price.id, item.quantity) for item in sold.items]


async def test_a_plan_and_its_addons_are_bought_in_one_order(database_url: str) -> None:
    async with shop(database_url) as here:
        order = items({"plan": "team", "quantity": 2}, {"addon": "more_projects", "quantity": 3})
        subscription = await here.bought(**order)
        assert lines_of(subscription) == [("price_team", 2), ("price_more_projects", 3)]
        held = await here.client.read(f"/internal/users/{USER}/entitlements")
        assert held["features"]["projects"]["limit"] == 2 * 10 + 3 * 50


async def test_an_addon_is_sold_beside_a_plan_alone(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        addon = {"price_id": "price_more_projects"}
        refused = await here.order(**addon, allow_second=True)
        assert refused.status_code == 422 and "beside a plan" in refused.json()["detail"]
        await here.bought()
        assert (await here.order(**addon)).status_code == 409
        session = await session_of(here, **addon, allow_second=True)
        assert lines_of(session) == [("price_more_projects", 1)]


async def test_items_that_do_not_go_together_are_refused(sqlite_database: str, plans: Path) -> None:
    async with shop(sqlite_database, plans_file=plans) as here:
        for each, said in (
            (items({"plan": "team"}, {"plan": "starter"}), "one plan"),
            (items({"plan": "team"}, {"price_id": "price_team"}), "twice"),
            (items({"plan": "team"}, {"addon": "more"}), "No add-on"),
            (items({"price_id": "price_setup"}), "[ignored]"),
            (items({"plan": "team"}, {"price_id": "price_setup", "quantity": 0}), "quantity"),
            (items({"plan": "team", "price_id": "price_team"}), "price_id"),
        ):
            refused = await here.order(**each)
            assert refused.status_code in (404, 422) and said in refused.json()["detail"], refused.text
        here.account.create_price("price_setup", 500)
        session = await session_of(here, **items({"plan": "team"}, {"price_id": "price_setup"}))
        assert lines_of(session) == [("price_team", 1), ("price_setup", 1)]
        assert (await here.order(**items(*[{"plan": "team"}] * 21))).status_code == 422


async def test_a_plan_by_its_name_is_sold_for_an_interval_and_in_a_currency(
    sqlite_database: str, plans: Path
) -> None:
    async with shop(sqlite_database, plans_file=plans) as here:
        account = here.account
        account.create_price("price_team_eur", 2700, currency="eur")
        account.prices["price_starter"].currency_options["eur"] = 800
        assert lines_of(await session_of(here, interval="year")) == [("price_team_yearly", 1)]
        euros = await session_of(here, currency="EUR")
        assert (lines_of(euros), euros.currency) == ([("price_team_eur", 1)], "eur")
        several = await session_of(here, plan="starter", currency="eur", confirm=True)
        assert (several.currency, several.amount_total) == ("eur", 800)
        missing = await here.order(interval="year", currency="eur")
        assert missing.status_code == 409 and "'year' and 'eur'" in missing.json()["detail"]
        assert missing.json()["choices"][0]["price_id"] == "price_team"


async def test_a_buyer_types_a_promotion_code_or_a_link_brings_it(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        api = required(here.service.stripe)
        coupon = (await api.post("/v1/coupons", percent_off=50, duration="once")).content["id"]
        promotion = {"type": "coupon", "coupon": coupon}
        code = (await api.post("/v1/promotion_codes", promotion=promotion, code="SPRING")).content["id"]
        for named in ({"promotion_code": "SPRING"}, {"promotion_code": code}, {"coupon": coupon}):
            session = await session_of(here, **named)
            assert session.amount_total == 1450, named
        unknown = await here.order(promotion_code="AUTUMN")
        assert unknown.status_code == 422 and "AUTUMN" in unknown.json()["detail"]
        both = await here.order(promotion_code="SPRING", allow_promotion_codes=True)
        assert both.status_code == 422
        session_id = await here.opened(allow_promotion_codes=True)
        subscription = complete_checkout(here.account, session_id, promotion_code="SPRING")
        assert here.account.invoices[subscription.latest_invoice or ""].amount_paid == 1450
        assert (await here.done(f"checkout-sessions/{session_id}/sync"))["applied"]


async def test_taxes_address_locale_and_metadata_reach_stripe(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session = await session_of(
            here,
            automatic_tax=True,
            tax_id_collection=True,
            billing_address_collection="required",
            locale="pt-BR",
            metadata={"campaign": "spring"},
            stripe_params={"custom_text": {"submit": {"message": "Thank you"}}},
        )
        assert session.details["automatic_tax"]["enabled"] and session.details["tax_id_collection"]["enabled"]
        assert session.details["billing_address_collection"] == "required"
        assert session.details["locale"] == "pt-BR"
        assert session.metadata["campaign"] == session.subscription_metadata["campaign"] == "spring"
        refused = await here.order(stripe_params={"metadata": {"user_id": "user_eve"}})
        assert refused.status_code == 422 and "stripe_params.metadata.user_id" in refused.json()["detail"]


async def test_an_embedded_page_has_a_secret_and_no_address(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        back = f"{ORIGIN}/back?session={{CHECKOUT_SESSION_ID}}"
        order = {key: value for key, value in ordered().items() if not key.endswith("_url")}
        made = await here.done("checkout-sessions", order | {"ui_mode": "embedded", "return_url": back})
        assert made["url"] is None and made["client_secret"].startswith(made["session_id"])
        session = here.account.sessions[made["session_id"]]
        assert (session.ui_mode, session.return_url) == ("embedded", back)
        complete_checkout(here.account, session.id)
        assert (await here.done(f"checkout-sessions/{session.id}/sync"))["applied"]
        hosted = await here.done("checkout-sessions", ordered("user_bob"))
        assert hosted["url"] and hosted["client_secret"] is None


async def test_a_plan_that_the_usage_does_not_fit_is_sold_on_confirmation_alone(
    database_url: str, plans: Path
) -> None:
    async with shop(database_url, plans_file=plans) as here:
        for feature, amount in (("projects", 30), ("api_calls", 900)):
            await here.done(f"users/{USER}/usage/{feature}", {"op": "consume", "amount": amount})
        refused = await here.order(plan="starter")
        assert refused.status_code == 409 and here.account.sessions == {} == here.account.customers
        # What is counted by the subscription's own period begins at nothing.
        assert refused.json()["over"] == {
            "projects": {"limit_now": 30, "limit_then": 5, "used": 30, "over": 25}
        }
        assert (await here.order(plan="starter", confirm=True)).status_code == 200
        fits = items({"plan": "starter"}, {"addon": "more_projects"})
        assert (await here.order(**fits)).status_code == 200
        assert (await here.order()).status_code == 200


OFFERS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
[plans.free]
projects = 10
[plans.team]
prices = ["price_team"]
projects = { limit = 10, per_unit = true }
min_quantity = 2
max_quantity = 5
trial_days = 14
[plans.team.trial]
projects = 5
[addons.more_projects]
prices = ["price_more_projects"]
max_quantity = 3
projects = 50
"""


async def test_a_plan_is_sold_in_its_quantities_and_with_its_trial(
    sqlite_database: str, tmp_path: Path
) -> None:
    offers = tmp_path / "offers.toml"
    offers.write_text(OFFERS)
    async with shop(sqlite_database, plans_file=offers) as here:
        few = await here.order()
        assert few.status_code == 422 and "'team' is sold from 2 on, not 1" in few.json()["detail"]
        many = await here.order(quantity=6)
        assert many.status_code == 422 and "sold up to 5, not 6" in many.json()["detail"]
        addons = items({"plan": "team", "quantity": 2}, {"addon": "more_projects", "quantity": 4})
        assert "Add-on 'more_projects' is sold up to 3" in (await here.order(**addons)).json()["detail"]
        session = await session_of(here, quantity=5)
        assert session.trial_days == 14
        subscription = complete_checkout(here.account, session.id)
        await here.hear()
        here.account.cancel_now(subscription)
        await here.hear()
        assert (await session_of(here, quantity=5)).trial_days == 0
        await here.done("users/user_bob/usage/projects", {"op": "consume", "amount": 10})
        tight = await here.order("user_bob", quantity=5)
        assert tight.status_code == 409 and tight.json()["over"]["projects"]["limit_then"] == 5
        assert (await here.order("user_bob", quantity=5, trial_days=0)).status_code == 200
