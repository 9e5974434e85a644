"""The example's billing page in a real browser, with the simulator for Stripe: from free to paid and back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, expect

from app.simulator import Account, Subscription
from app.simulator.api import API_KEY, serving_in_thread
from app.simulator.cards import CARDS, render_card
from app.simulator.model import Record
from tests.client import AUTH
from tests.faults.servers import Server

from .conftest import Browser, browsing

LIGHT = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
SCREENS = {
    "light": LIGHT,
    "dark": LIGHT | {"color_scheme": "dark"},
    "narrow": LIGHT | {"viewport": {"width": 380, "height": 800}},
}
PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated", name = "Projects", unit = "projects" }
storage_bytes = { kind = "allocated", name = "Storage", unit = "bytes" }

[plans.free]
name = "Free"
projects = 3
storage_bytes = "1 GiB"

[plans.legacy]
name = "Team 2021"
prices = ["price_legacy"]
sold = false
projects = 5

[plans.starter]
name = "Starter"
prices = ["price_starter"]
projects = 10
storage_bytes = "10 GiB"

[plans.studio]
name = "Studio"
prices = ["price_studio"]
trial_days = 14
projects = 15
storage_bytes = "20 GiB"

[plans.team]
name = "Team"
description = "For teams that work together"
prices = ["price_team", "price_team_yearly"]
projects = { limit = 20, per_unit = true }
storage_bytes = "unlimited"
"""


@pytest.fixture(scope="module")
def account() -> Account:
    """What is at Stripe."""
    account = Account(seed=3, start=int(time.time()) - 60)
    account.create_price("price_legacy", 900)
    account.create_price("price_studio", 1_900)
    account.create_price("price_team_yearly", 29_000, interval="year")
    return account


@pytest.fixture(scope="module")
def stripe(account: Account) -> Iterator[str]:
    """The address of the simulator's API."""
    with serving_in_thread(account, clock=time.time) as address:
        yield address


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory, stripe: str) -> Iterator[str]:
    """The address of the example as a process, with no webhook: what the pages show, they asked for."""
    folder = tmp_path_factory.mktemp("billing")
    (folder / "plans.toml").write_text(PLANS)
    process = Server(f"sqlite:///{folder / 'app.db'}", folder, app="examples.main:app", CATCH_UP_MINUTES="0")
    process.environment |= {
        "STRIPE_API_KEY": API_KEY,
        "STRIPE_API_BASE": stripe,
        "ALLOWED_RETURN_ORIGINS": process.url,
        "PLANS_FILE": str(folder / "plans.toml"),
    }
    asyncio.run(process.start())
    yield process.url
    process.stop()


@pytest.fixture(params=SCREENS)
async def buyer(request: pytest.FixtureRequest, application: str, stripe: str) -> AsyncIterator[Browser]:
    """A user of their own for each screen and test: they run in any order, in any process."""
    user = f"{request.param}-portal" if "portal" in request.node.name else request.param
    screen: dict[str, Any] = SCREENS[request.param] | {"extra_http_headers": {"X-User": user}}
    async with browsing(screen, application, stripe) as browser:
        browser.name = user
        yield browser


@pytest.fixture
async def visitor(request: pytest.FixtureRequest, application: str, stripe: str) -> AsyncIterator[Browser]:
    """A user of the test's own, on one screen."""
    user = request.node.name.removeprefix("test_")[:60]
    async with browsing(LIGHT | {"extra_http_headers": {"X-User": user}}, application, stripe) as browser:
        browser.name, browser.refusals = user, {402, 404, 409, 422}
        await browser.page.goto(f"{application}/billing")
        yield browser


async def seen(buyer: Browser, what: str) -> None:
    """Take a picture, and see that nothing is wider than the screen."""
    await buyer.picture(f"billing-{buyer.name}-{what}")
    assert buyer.page.viewport_size is not None
    wide = await buyer.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= buyer.page.viewport_size["width"], what


async def press(buyer: Browser, label: str) -> None:
    # A plan has a button for each interval, the shortest first.
    await buyer.page.get_by_role("button", name=label).first.click()


def plan_of(buyer: Browser) -> Locator:
    return buyer.page.locator("h2:has-text('Your plan') + p")


async def bought(buyer: Browser, account: Account, label: str) -> Subscription:
    """Buy by this button; the subscription at Stripe."""
    before = set(account.subscriptions)
    await press(buyer, label)
    await buyer.page.wait_for_url(f"{buyer.url}/billing")
    (new,) = set(account.subscriptions) - before
    return account.subscriptions[new]


async def test_a_user_upgrades_changes_cancels_and_resumes(buyer: Browser, stripe: str) -> None:
    buyer.refusals = {409}
    went: list[str] = []
    page = buyer.page
    page.on("framenavigated", lambda frame: went.append(frame.url))
    page.on("response", lambda response: went.append(response.url))
    await page.goto(f"{buyer.url}/billing")
    plan = plan_of(buyer)
    await expect(plan).to_contain_text("Free")
    await expect(page.locator("body")).not_to_contain_text("price_")
    await seen(buyer, "free")

    await press(buyer, "Upgrade to Team: 29.00 USD a month")
    await page.wait_for_url(f"{buyer.url}/billing")
    await expect(plan).to_contain_text("Team")
    await expect(page.locator("body")).to_contain_text("Team, 29.00 USD a month")
    assert any(address.startswith(f"{stripe}/c/pay/cs_test_") for address in went)
    assert any(address.startswith(f"{buyer.url}/billing/return?session=cs_test_") for address in went)
    await expect(page.locator("body")).to_contain_text("Renews on")
    await seen(buyer, "team")

    await use_storage(buyer, 11 * 2**30)
    await press(buyer, "Change to Starter: 9.00 USD a month")
    change = page.get_by_role("region", name="Your change")
    await expect(change).to_contain_text("Until then nothing changes, and you can take it back")
    await expect(change).to_contain_text("the limit would be 10 GiB")
    await seen(buyer, "asked")
    await press(buyer, "Change then")
    await expect(page.locator("body")).to_contain_text("Changes to Starter on")
    await expect(plan).to_contain_text("Team")
    await seen(buyer, "scheduled")
    await press(buyer, "Keep Team")
    await expect(page.locator("body")).not_to_contain_text("Changes to Starter")

    await press(buyer, "Cancel")  # that would be over the free plan's limit
    await expect(page.get_by_role("alert")).to_contain_text("the limit would be 1 GiB")
    await press(buyer, "Do it all the same")
    await expect(page.locator("body")).to_contain_text("Ends on")
    await seen(buyer, "canceled")
    await press(buyer, "Resume")
    await expect(page.locator("body")).to_contain_text("Renews on")


async def test_the_portal_leads_there_and_back(buyer: Browser, stripe: str) -> None:
    page = buyer.page
    await page.goto(f"{buyer.url}/billing")
    await press(buyer, "Upgrade to Team")
    await page.wait_for_url(f"{buyer.url}/billing")
    await press(buyer, "Cards and invoices")
    await page.wait_for_url(f"{stripe}/p/session/*")
    await seen(buyer, "at-stripe")
    await page.get_by_role("link", name="Return").click()
    await page.wait_for_url(f"{buyer.url}/billing")


async def test_a_promotion_code_lowers_what_is_paid(visitor: Browser, account: Account, stripe: str) -> None:
    await at_stripe(stripe, "coupons", id="half", percent_off="50", duration="forever")
    await at_stripe(stripe, "promotion_codes", code="WELCOME", **COUPON)
    card = visitor.page.get_by_role("region", name="Starter")
    await card.get_by_label("Promotion code").fill("unknown")
    await press(visitor, "Upgrade to Starter")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("unknown")
    await visitor.page.get_by_role("region", name="Starter").get_by_label("Promotion code").fill("WELCOME")
    subscription = await bought(visitor, account, "Upgrade to Starter: 9.00 USD a month")
    await expect(plan_of(visitor)).to_contain_text("Starter")
    assert [each.total for each in invoices_of(account, subscription)] == [450]


async def test_a_trial_is_had_once(visitor: Browser, account: Account) -> None:
    card = visitor.page.get_by_role("region", name="Studio")
    await expect(card).to_contain_text("a trial of 14 days")
    subscription = await bought(visitor, account, "Upgrade to Studio: 19.00 USD a month")
    await expect(visitor.page.locator("body")).to_contain_text("On trial until")
    assert subscription.status == "trialing"
    await end_now(visitor, subscription)
    await visitor.page.goto(f"{visitor.url}/billing")
    again = await bought(visitor, account, "Upgrade to Studio")
    await expect(visitor.page.locator("body")).not_to_contain_text("On trial")
    assert (again.status, again.trial_end) == ("active", None)


async def test_an_upgrade_shows_its_amount_first_and_a_refused_card_keeps_the_old_plan(
    visitor: Browser, account: Account
) -> None:
    subscription = await bought(visitor, account, "Upgrade to Starter")
    await press(visitor, "Upgrade to Team: 29.00 USD a month")
    change = visitor.page.get_by_role("region", name="Your change")
    await expect(change).to_contain_text("now. Your plan changes at once.")
    await expect(plan_of(visitor)).to_contain_text("Starter")
    due = (await change.locator("p strong").first.inner_text()).split()
    give_card(account, subscription, "chargeCustomerFail")
    await press(visitor, "Change now")
    await expect(visitor.page.get_by_role("alert").first).to_contain_text("did not go through")
    await expect(plan_of(visitor)).to_contain_text("Starter")
    assert [item.price.id for item in subscription.items] == ["price_starter"]

    give_card(account, subscription, "visa")
    await press(visitor, "Upgrade to Team: 29.00 USD a month")
    await press(visitor, "Change now")
    await expect(plan_of(visitor)).to_contain_text("Team")
    assert due[1] == "USD" and float(due[0]) > 0


async def test_a_second_tab_with_an_open_checkout_buys_nothing_more(
    visitor: Browser, account: Account
) -> None:
    other = await visitor.page.context.new_page()
    await other.goto(f"{visitor.url}/billing")
    await bought(visitor, account, "Upgrade to Starter")
    had = len(account.subscriptions)
    await other.get_by_role("button", name="Upgrade to Team").first.click()
    await other.wait_for_url("**/p/session/*")  # the portal, for the subscription that there is
    assert len(account.subscriptions) == had
    await other.close()


async def test_a_checkout_that_is_open_in_another_tab_cannot_be_paid_any_more(
    visitor: Browser, account: Account
) -> None:
    known = set(account.sessions)
    other = await visitor.page.context.new_page()
    await other.goto(f"{visitor.url}/billing")
    button = other.get_by_role("button", name="Upgrade to Team").first
    form = await button.evaluate("button => Object.fromEntries(new FormData(button.form))")
    # The page at Stripe is not looked at yet: the simulator's is paid as soon as it is.
    sent = await other.request.post(f"{visitor.url}/billing/checkout", form=form, max_redirects=0)
    assert sent.status == 303
    [opened] = set(account.sessions) - known
    url = account.sessions[opened].url
    assert account.sessions[opened].status == "open" and url is not None
    await bought(visitor, account, "Upgrade to Starter")
    had = len(account.subscriptions)
    assert account.sessions[opened].status == "expired"
    await other.goto(url)
    assert len(account.subscriptions) == had
    await other.close()


async def test_what_is_not_sold_is_not_shown_and_refused(visitor: Browser, account: Account) -> None:
    await expect(visitor.page.locator("body")).not_to_contain_text("Team 2021")
    field = visitor.page.locator("form[action='/billing/checkout'] input[name=plan]").first
    await field.evaluate("field => { field.value = 'legacy' }")
    before = len(account.sessions)
    await visitor.page.locator("form[action='/billing/checkout'] button").first.click()
    await expect(visitor.page.get_by_role("alert")).to_contain_text("no longer sold")
    assert len(account.sessions) == before


COUPON = {"promotion[type]": "coupon", "promotion[coupon]": "half"}


async def at_stripe(stripe: str, path: str, **form: str) -> None:
    """Make an object at Stripe."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=stripe, headers=headers, trust_env=False) as client:
        (await client.post(f"/v1/{path}", data=form)).raise_for_status()


def invoices_of(account: Account, subscription: Subscription) -> list[Any]:
    return [each for each in account.invoices.values() if each.subscription == subscription.id]


def give_card(account: Account, subscription: Subscription, name: str) -> None:
    """The customer's default payment method is this test card ("Testing")."""
    card = Record(f"pm_{name}", account.now, "payment_method", {"card": render_card(CARDS[name])})
    account.add_record(card)
    account.customers[subscription.customer].default_payment_method = card.id
    subscription.default_payment_method = None


async def end_now(buyer: Browser, subscription: Subscription) -> None:
    """The operator ends it at once."""
    async with httpx.AsyncClient(base_url=buyer.url, headers=AUTH, trust_env=False) as client:
        path = f"/internal/subscriptions/{subscription.id}/cancel"
        (await client.post(path, json={"at_period_end": False, "confirm": True})).raise_for_status()


async def use_storage(buyer: Browser, amount: int) -> None:
    async with httpx.AsyncClient(base_url=buyer.url, headers=AUTH, trust_env=False) as client:
        path = f"/internal/users/{buyer.name}/usage/storage_bytes"
        (await client.post(path, json={"op": "set", "amount": amount})).raise_for_status()
