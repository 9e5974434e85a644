"""The example's billing page: other people's subscriptions, other sites, what is missing, Stripe down."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.simulator import DAY
from examples import billing_page

from ...shop import USER
from .helpers import HEADERS, buy, opened, page, press, use, words

pytestmark = pytest.mark.postgresql_in_long


async def test_the_subscription_of_somebody_else_cannot_be_named(database_url: str) -> None:
    async with opened(database_url) as here:
        await buy(here)
        token = billing_page.token_of(here.service, "user_eve")
        foreign = {
            "subscription_id": next(iter(here.account.subscriptions)),
            "action": "cancel",
            "token": token,
        }
        eve = {"X-User": "user_eve"}
        response = await here.client.http.post("/billing/subscription", data=foreign, headers=eve)
        assert response.status_code == 404
        session = next(iter(here.account.sessions))
        response = await here.client.http.get("/billing/return", params={"session": session}, headers=eve)
        assert response.status_code == 404 and "Your plan <strong>Free" not in response.text
        assert "29.00 USD a month Active" not in words(response.text)
        assert [each.cancel_at_period_end for each in here.account.subscriptions.values()] == [False]


async def test_no_other_site_can_press_a_button(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        posts = {
            route.path
            for route in billing_page.pressed.routes
            if isinstance(route, APIRoute) and route.methods == {"POST"}
        }
        assert len(posts) == 4
        form = {"plan": "team", "interval": "month", "action": "cancel", "subscription_id": "sub_1"}
        days_ago = int(here.service.clock()) // DAY - 2
        wrong = (
            "",
            "x",
            billing_page.token_of(here.service, "user_eve"),
            billing_page.token_of(here.service, USER, days_ago),
        )
        for path in posts:
            assert (await here.client.http.post(path, data=form, headers=HEADERS)).status_code == 403
            for token in wrong:
                sent = form | {"token": token}
                assert (await here.client.http.post(path, data=sent, headers=HEADERS)).status_code == 403
        yesterday = int(here.service.clock()) // DAY - 1
        sent = form | {"token": billing_page.token_of(here.service, USER, yesterday)}
        assert (
            await here.client.http.post("/billing/checkout", data=sent, headers=HEADERS)
        ).status_code == 303


PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
[plans.free]
projects = 3
[plans.team]
prices = ["price_team", "price_team_of_before", "price_team_yearly"]
projects = 10
"""


async def test_only_what_is_offered_can_be_bought(sqlite_database: str, tmp_path: Path) -> None:
    """An older price of a plan stays in the plans file for those who have it."""
    (tmp_path / "plans.toml").write_text(PLANS)
    async with opened(sqlite_database, plans_file=tmp_path / "plans.toml") as here:
        here.account.create_price("price_team_of_before", 100)
        here.account.create_price("price_team_yearly", 29_000, interval="year")
        html = await page(here)
        labels = [words(each) for each in re.findall(r"<button[^>]*>(.*?)</button>", html)]
        assert [each for each in labels if "Team" in each] == [
            "Upgrade to Team: 29.00 USD a month",
            "Upgrade to Team: 290.00 USD a year",
        ]
        token = billing_page.token_of(here.service, USER)
        for plan, interval in (
            ("team", "week"),
            ("none", "month"),
            ("free", "month"),
            ("price_team", "month"),
        ):
            form = {"plan": plan, "interval": interval, "price_id": "price_team_of_before", "token": token}
            refused = await here.client.http.post("/billing/checkout", data=form, headers=HEADERS)
            assert refused.status_code in (404, 409, 422), (plan, interval)
        assert here.account.sessions == {}
        left = await press(here, html, "290.00 USD a year", price_id="price_team_of_before")
        assert left.status_code == 303
        (session,) = here.account.sessions.values()
        assert [price.id for price, _ in session.line_items] == ["price_team_yearly"]


@pytest.mark.parametrize(
    ("setting", "value"), [("stripe_api_key", None), ("allowed_return_origins", ())], ids=["key", "origins"]
)
async def test_without_a_setting_the_buttons_say_what_is_missing(
    sqlite_database: str, setting: str, value: Any
) -> None:
    async with opened(sqlite_database, **{setting: value}) as here:
        html = await page(here)
        assert f"The buttons wait for {setting.upper()}:" in words(html)
        assert html.count("<button") == html.count("disabled>") > 0
        answer = await press(here, html, "Upgrade to Team")
        assert answer.status_code in (501, 422) and setting.upper() in words(answer.text)


async def test_a_purchase_that_is_not_paid_yet_says_so_and_one_that_is_made_up_is_not_found(
    sqlite_database: str,
) -> None:
    async with opened(sqlite_database) as here:
        await press(here, await page(here), "Upgrade to Team")
        (session,) = here.account.sessions
        waiting = await page(here, f"/billing/return?session={session}", 409)
        assert "Your payment is not confirmed yet" in words(waiting) and "Your plan Free" in words(waiting)
        await page(here, "/billing/return?session=cs_test_another", 404)
        await page(here, "/billing/return?session=%3Cscript%3E", 404)


async def test_who_subscribes_already_in_another_tab_gets_to_the_portal(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        before = await page(here)
        await buy(here)
        again = await press(here, before, "Upgrade to Team")
        assert again.status_code == 303 and "/p/session/" in again.headers["location"]
        assert len(here.account.subscriptions) == 1


async def test_while_stripe_is_down_the_page_says_so_and_goes_on(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        html = await page(here)
        here.faults.next("error", 100)
        answer = await press(here, html, "Upgrade to Team")
        assert answer.status_code == 502
        assert "Stripe cannot be reached now" in words(answer.text) and "What you use" in answer.text
        assert "29.00 USD a month" in words(answer.text), "amounts are stored"


async def test_without_a_known_price_nothing_can_be_bought(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        here.faults.next("error", 100)
        html = await page(here)
        assert "Its prices are not known now" in words(html)
        assert html.count("<button") == html.count("disabled>") > 0


async def test_an_open_invoice_is_shown_with_its_link_to_pay(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        await buy(here)
        (subscription,) = here.account.subscriptions.values()
        here.account.advance(31 * DAY)
        here.account.renew(subscription, paid=False)
        await here.hear()
        html = await page(here)
        assert "Past due" in words(html) and "To be paid" in words(html) and "29.00 USD" in words(html)
        assert re.search(r'<a href="https://[^"]+" rel="noreferrer">Pay now</a>', html)


async def test_hostile_words_in_a_form_are_text_on_the_page_that_asks_again(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        html = await buy(here)
        here.account.advance(60)
        await use(here, "storage_bytes", 11 * 2**30)
        evil = '"><script>alert(1)</script>'
        asked = await press(here, html, "Change to Starter", plan=evil)
        assert asked.status_code == 404
        assert "<script" not in asked.text and "&lt;script&gt;" in asked.text
        refused = await press(here, html, "Cancel", **{evil: evil})
        assert refused.status_code == 409
        assert "<script" not in refused.text and "&lt;script&gt;" in refused.text


async def test_a_form_may_lead_to_stripe_and_nowhere_else(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        response = await here.client.http.get("/billing", headers=HEADERS)
        policy = response.headers["content-security-policy"]
        base = str(here.service.settings.stripe_api_base)
        assert f"form-action 'self' https: {base};" in policy
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


async def test_nobody_is_shown_a_page_without_a_log_in(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(sqlite_database) as here:
        monkeypatch.delenv("EXAMPLE_USER", raising=False)
        assert (await here.client.http.get("/billing")).status_code == 401
        monkeypatch.setenv("EXAMPLE_USER", USER)
        assert (await here.client.http.get("/billing")).status_code == 200
