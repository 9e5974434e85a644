"""The example's billing page: its buttons, against the simulator, and the way back from Stripe's pages."""

import re

import httpx
import pytest

from app.simulator import DAY
from examples import billing_page

from ...client import AUTH
from ...shop import ORIGIN, USER
from .helpers import HEADERS, buy, opened, page, press, use, words

pytestmark = pytest.mark.postgresql_in_long


async def test_who_has_paid_sees_the_plan_before_the_webhook_came(database_url: str) -> None:
    async with opened(database_url) as here:
        assert "Your plan Free" in words(await page(here))
        shown = words(await buy(here))
        assert "Your plan Team Team, 29.00 USD a month Active. Renews on" in shown
        assert "0 of 10 projects" in shown and "Subscribe" not in shown and "price_" not in shown
        assert (await here.audited(next(iter(here.account.customers))))[0].actor == f"user:{USER}"


async def test_stripes_page_leads_back_to_the_allowed_origin_whatever_the_visitor_calls_this_host(
    sqlite_database: str,
) -> None:
    async with opened(sqlite_database) as here:
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        form = {"plan": "team", "interval": "month", "token": billing_page.token_of(here.service, USER)}
        left = await here.client.http.post("/billing/checkout", data=form, headers=HEADERS | evil)
        assert left.status_code == 303
        (session,) = here.account.sessions.values()
        assert session.success_url == f"{ORIGIN}/billing/return?session={{CHECKOUT_SESSION_ID}}"
        assert session.cancel_url == f"{ORIGIN}/billing"


async def test_the_portal_is_one_button_away_and_leads_back(database_url: str) -> None:
    async with opened(database_url) as here:
        html = await page(here)
        assert "Cards and invoices" not in html  # nobody has paid, so there is nothing in it
        left = await press(here, await buy(here), "Cards and invoices")
        assert left.status_code == 303
        async with httpx.AsyncClient(trust_env=False) as browser:
            portal = await browser.get(left.headers["location"])
        assert portal.status_code == 200 and f'href="{ORIGIN}/billing"' in portal.text


async def test_a_plan_is_changed_and_what_would_be_over_is_asked_about_first(database_url: str) -> None:
    async with opened(database_url) as here:
        html = await buy(here)
        here.account.advance(60)
        await use(here, "storage_bytes", 11 * 2**30)
        asked = await press(here, html, "Change to Starter: 9.00 USD a month")
        assert asked.status_code == 200
        assert "Storage: you use 11 GiB, and the limit would be 10 GiB" in words(asked.text)
        assert "Until then nothing changes, and you can take it back" in words(asked.text)
        assert "Changes to" not in words(await page(here)), "it was only asked for"
        done = await press(here, asked.text, "Change then")
        assert (done.status_code, done.headers["location"]) == (303, "/billing"), done.text
        html = await page(here)
        assert "Your plan Team" in words(html) and "Changes to Starter on" in words(html)
        here.account.advance(60)
        assert (await press(here, html, "Keep Team")).status_code == 303
        assert "Changes to" not in words(await page(here))
        assert {entry.actor for entry in await here.audited(next(iter(here.account.subscriptions)))} == {
            f"user:{USER}"
        }


async def test_an_upgrade_costs_what_the_page_showed_before(database_url: str) -> None:
    async with opened(database_url) as here:
        await buy(here, "Upgrade to Starter")
        here.account.advance(10 * DAY)
        asked = await press(here, await page(here), "Upgrade to Team: 29.00 USD a month")
        shown = re.search(r"You pay ([0-9.]+) USD now", words(asked.text))
        assert shown is not None and "Your plan Starter" in words(asked.text)
        assert (await press(here, asked.text, "Change now")).status_code == 303
        assert "Your plan Team" in words(await page(here))
        invoice = list(here.account.invoices.values())[-1]
        assert f"{invoice.total / 100:.2f}" == shown[1]


async def test_before_a_plan_is_bought_that_is_too_small_the_page_asks(sqlite_database: str) -> None:
    async with opened(sqlite_database) as here:
        path = f"/internal/users/{USER}/usage/storage_bytes"
        await here.client.http.post(path, json={"op": "set", "amount": 11 * 2**30}, headers=AUTH)
        refused = await press(here, await page(here), "Upgrade to Starter")
        assert refused.status_code == 409 and here.account.sessions == {}
        assert "you use 11 GiB, and the limit would be 10 GiB" in words(refused.text)
        done = await press(here, refused.text, "Do it all the same")
        [session] = here.account.sessions.values()
        assert (done.status_code, done.headers["location"]) == (303, session.url)


async def test_a_plan_is_canceled_with_its_period_and_resumed(database_url: str) -> None:
    async with opened(database_url) as here:
        html = await buy(here)
        here.account.advance(60)
        assert (await press(here, html, "Cancel")).status_code == 303
        here.account.advance(60)
        html = await page(here)
        assert "Ends on" in words(html) and "Your plan is canceled" in words(html)
        assert (await press(here, html, "Resume")).status_code == 303
        shown = words(await page(here))
        assert "Renews on" in shown and "Ends on" not in shown
