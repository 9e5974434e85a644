"""A server with ten blocked users and a hostile one, and a headless Chromium to look at it with."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.admin.cases import prepare
from tests.admin.hostile import HOSTILE, rows
from tests.admin.visitor import PASSWORD, USERNAME, password_hash
from tests.client import running
from tests.faults.servers import Server

from .. import ROOT

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = ROOT / "var" / "screenshots"
DOCUMENTED = Path(os.environ.get("DOCS_IMAGES") or SCREENSHOTS)
"""Where the pictures of the documentation go: `make screenshots` names `docs/images`."""
FLAGS = (
    "--headless",
    "--no-sandbox",  # in CI we may be root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.nodeid.startswith("tests/browser/")]
    for item in here:
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None:
            reason = "no Chromium: `make test-browser` installs it, or name one with CHROMIUM=…"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[str]:
    """The address of a server whose database holds them."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copy(sqlite_template, folder / "app.db")
    url = f"sqlite:///{folder / 'app.db'}"

    async def fill() -> None:
        async with running(url, clock=time.time) as client:
            await prepare(client)
            async with client.app.state.billing.database.session() as session:
                session.add_all(rows(" ".join(HOSTILE)))

    asyncio.run(fill())
    process = Server(url, folder, ADMIN_USERNAME=USERNAME, ADMIN_PASSWORD_HASH=password_hash())
    asyncio.run(process.start())
    yield process.url
    process.stop()


class Browser:
    """One person's browser. `strangers` has what pages ask of others than the server and its `friends`."""

    def __init__(self, context: BrowserContext, page: Page, url: str, *friends: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.friends = friends
        self.name = ""
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        self.refusals: set[int] = set()
        """The statuses that a test is refused with on purpose; Chromium notes each, sooner or later."""
        page.on("request", lambda request: self._note(request.url))
        page.on("console", lambda message: self._hear(message.text))

    def _note(self, address: str) -> None:
        if not address.startswith((self.url, "data:", *self.friends)):
            self.strangers.append(address)

    def _hear(self, complaint: str) -> None:
        if not any(f"responded with a status of {status} " in complaint for status in self.refusals):
            self.complaints.append(complaint)

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.url}/admin{path}")

    async def log_in(self, username: str = USERNAME, password: str = PASSWORD) -> None:
        await self.open("/login")
        # A field that is filled before the page has put the cursor there has Chromium complain.
        await expect(self.page.get_by_label("User name")).to_be_focused()
        await self.page.get_by_label("User name").fill(username)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()

    async def find(self, words: str) -> None:
        await self.page.get_by_role("searchbox").fill(words)
        await self.page.get_by_role("button", name="Find").click()

    async def picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    async def documented(self, name: str) -> None:
        """Take the picture of the documentation: what fits on the screen."""
        DOCUMENTED.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=DOCUMENTED / f"{name}.png")

    async def text(self) -> str:
        return await self.page.locator("main").inner_text()


@pytest.fixture
def screen() -> dict[str, Any]:
    """How wide, light or dark; tests change it by parametrization."""
    return {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}


@asynccontextmanager
async def browsing(screen: dict[str, Any], url: str, *friends: str) -> AsyncIterator[Browser]:
    """A browser; when it is closed, it must have asked no stranger and complained of nothing."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = await chromium.new_context(**screen)
        browser = Browser(context, await context.new_page(), url, *friends)
        yield browser
        assert browser.strangers == []
        assert browser.complaints == []
        await chromium.close()


@pytest.fixture
async def browser(server: str, screen: dict[str, Any]) -> AsyncIterator[Browser]:
    async with browsing(screen, server) as browser:
        yield browser
