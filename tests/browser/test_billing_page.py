"""The example's billing page in a real browser, with the simulator for Stripe: from free to paid and back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from app.simulator import Account
from app.simulator.api import API_KEY, serving_in_thread
from tests.client import AUTH
from tests.faults.servers import Server

from .conftest import Browser, browsing

LIGHT = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
SCREENS = {
    "light": LIGHT,
    "dark": LIGHT | {"color_scheme": "dark"},
    "narrow": LIGHT | {"viewport": {"width": 380, "height": 800}},
}


@pytest.fixture(scope="module")
def stripe() -> Iterator[str]:
    """The address of the simulator's API."""
    account = Account(seed=3, start=int(time.time()) - 60)
    with serving_in_thread(account, clock=time.time) as address:
        yield address


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory, stripe: str) -> Iterator[str]:
    """The address of the example as a process, with no webhook: what the pages show, they asked for."""
    folder = tmp_path_factory.mktemp("billing")
    process = Server(f"sqlite:///{folder / 'app.db'}", folder, app="examples.main:app", CATCH_UP_MINUTES="0")
    process.environment |= {
        "STRIPE_API_KEY": API_KEY,
        "STRIPE_API_BASE": stripe,
        "ALLOWED_RETURN_ORIGINS": process.url,
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


async def seen(buyer: Browser, what: str) -> None:
    """Take a picture, and see that nothing is wider than the screen."""
    await buyer.picture(f"billing-{buyer.name}-{what}")
    assert buyer.page.viewport_size is not None
    wide = await buyer.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= buyer.page.viewport_size["width"], what


async def press(buyer: Browser, label: str) -> None:
    # A plan has a button for each interval, the shortest first.
    await buyer.page.get_by_role("button", name=label).first.click()


async def test_a_user_upgrades_changes_cancels_and_resumes(buyer: Browser, stripe: str) -> None:
    buyer.refusals = {409}
    went: list[str] = []
    page = buyer.page
    page.on("framenavigated", lambda frame: went.append(frame.url))
    page.on("response", lambda response: went.append(response.url))
    await page.goto(f"{buyer.url}/billing")
    plan = page.locator("h2:has-text('Your plan') + p")
    await expect(plan).to_contain_text("Free")
    await seen(buyer, "free")

    await press(buyer, "Upgrade to Team")
    await page.wait_for_url(f"{buyer.url}/billing")
    await expect(plan).to_contain_text("Team")
    assert any(address.startswith(f"{stripe}/c/pay/cs_test_") for address in went)
    assert any(address.startswith(f"{buyer.url}/billing/return?session=cs_test_") for address in went)
    await expect(page.locator("body")).to_contain_text("Renews on")
    await seen(buyer, "team")

    await use_storage(buyer, 11 * 2**30)
    await press(buyer, "Change to Starter")
    await expect(page.get_by_role("alert")).to_contain_text("the limit would be 10.0 GiB")
    await seen(buyer, "asked")
    await press(buyer, "Do it all the same")
    await expect(plan).to_contain_text("Starter")
    await press(buyer, "Cancel")  # that would be over the free plan's limit as well
    await expect(page.get_by_role("alert")).to_contain_text("the limit would be 1.0 GiB")
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


async def use_storage(buyer: Browser, amount: int) -> None:
    async with httpx.AsyncClient(base_url=buyer.url, headers=AUTH, trust_env=False) as client:
        path = f"/internal/users/{buyer.name}/usage/storage_bytes"
        (await client.post(path, json={"op": "set", "amount": amount})).raise_for_status()
