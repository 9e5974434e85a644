"""The admin screen in a real browser: what a person does there, and what they see."""

import re

import pytest
from playwright.async_api import expect

from .conftest import DOCUMENTED, Browser

NARROW = {"viewport": {"width": 380, "height": 800}, "color_scheme": "light"}
DARK = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}
PAGES = {
    "overview": "/",
    "user-past-grace": "/user?id=user_pastgrace",
    "user-over-limit": "/user?id=user_overlimit",
    "subscriptions": "/subscriptions",
    "events": "/events",
    "customers": "/customers?linked=no",
    "invoices": "/invoices",
    "audit": "/audit",
    "override": "/action/override?user=user_ended",
    "search": "/search?q=nobody",
    "hostile-user": "/user?id=user_h",
    "hostile-event": "/event?id=evt_h",
    "hostile-audit": "/audit?subject=user_h",
    "hostile-question": "/action/replay?event=evt_h",
}


async def test_logging_in_leads_to_the_overview(browser: Browser) -> None:
    await browser.log_in()
    await expect(browser.page.get_by_role("heading", level=1)).to_have_text("Overview")
    for name, path in PAGES.items():
        await browser.open(path)
        await browser.picture(name)
        wide = await browser.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 1280, path


async def test_the_pictures_of_the_documentation_are_taken(browser: Browser) -> None:
    await browser.log_in()
    await browser.documented("admin-overview")
    await browser.open("/user?id=user_pastgrace")
    await browser.documented("admin-user")
    for name in ("admin-overview", "admin-user"):
        assert (DOCUMENTED / f"{name}.png").stat().st_size < 250_000


async def test_a_wrong_password_is_refused_and_then_throttled(browser: Browser) -> None:
    browser.refusals = {401, 429}
    await browser.log_in("mallory", "a-wrong-password")
    await expect(browser.page.get_by_role("alert")).to_have_text(re.compile("is wrong"))
    for _ in range(5):
        await browser.log_in("mallory", "a-wrong-password")
    await expect(browser.page.get_by_role("alert")).to_have_text(re.compile("Too many attempts"))
    await browser.picture("log-in")


async def test_a_user_is_found_by_e_mail_and_the_failed_renewal_read(browser: Browser) -> None:
    await browser.log_in()
    await browser.find("pastgrace@example.com")
    await expect(browser.page.get_by_role("heading", level=1)).to_contain_text("user_pastgrace")
    story = browser.page.get_by_role("list").filter(has_text="invoice.payment_failed").first
    await expect(story).to_contain_text("customer.subscription.updated")
    changed = browser.page.locator(".changes", has_text=re.compile("status.*active.*past_due", re.DOTALL))
    entry = browser.page.locator("li.entry", has=changed).first
    await expect(entry).to_contain_text("customer.subscription.updated")
    await entry.get_by_text("Raw", exact=True).click()
    await expect(entry.locator("pre")).to_contain_text('"previous_attributes"')


async def test_a_dead_event_is_replayed_and_seen_applied(browser: Browser) -> None:
    await browser.log_in()
    await browser.find("dead@example.com")
    await browser.picture("user-dead")
    await browser.page.get_by_role("link", name="Replay the event").click()
    await browser.picture("replay")
    await browser.page.get_by_role("button", name="Replay it").click()
    await expect(browser.page.get_by_role("status")).to_contain_text("applied again")
    await expect(browser.page.locator("dd .status").first).to_have_text("processed")
    await browser.picture("event")
    await browser.find("dead@example.com")
    await expect(browser.page.locator("#content")).to_contain_text("events.replay")
    await expect(browser.page.locator("#content")).not_to_contain_text("An event is dead")


async def test_an_override_is_set_and_the_limit_seen(browser: Browser) -> None:
    await browser.log_in()
    await browser.find("user_overlimit")
    await browser.page.get_by_role("link", name="Set an override").first.click()
    await browser.page.get_by_label("Value").fill("40")
    await browser.page.get_by_label("Reason").fill("Promised by support")
    await browser.page.get_by_role("button", name="Go on").click()
    await browser.page.get_by_role("button", name="Set it").click()
    await expect(browser.page.get_by_role("status")).to_have_text("The override holds.")
    projects = browser.page.locator(".feature").filter(has_text="projects").first
    await expect(projects).to_contain_text("25 of 40")


@pytest.mark.parametrize("screen", [NARROW], ids=["380"])
async def test_nothing_scrolls_sideways_at_380_pixels(browser: Browser) -> None:
    await browser.log_in()
    for name, path in PAGES.items():
        await browser.open(path)
        wide = await browser.page.evaluate("document.documentElement.scrollWidth")
        await browser.picture(f"narrow-{name}")
        assert wide <= 380, path


@pytest.mark.parametrize("screen", [DARK], ids=["dark"])
async def test_a_dark_screen_gets_light_text_on_dark(browser: Browser) -> None:
    await browser.log_in()
    for name in ("overview", "user-past-grace", "events", "override"):
        await browser.open(PAGES[name])
        await browser.picture(f"dark-{name}")
        colour = "getComputedStyle(document.body).{}.match(/\\d+/g).map(Number)[0]"
        assert await browser.page.evaluate(colour.format("backgroundColor")) < 60
        assert await browser.page.evaluate(colour.format("color")) > 200


LIST_REACHABLE = """() => {
    const inputs = "a[href], button, input:not([type=hidden]), select, textarea, summary"
    window.reachable = [...document.querySelectorAll(inputs)].filter(each => each.checkVisibility())
    return reachable.length
}"""
WHERE_IT_IS = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect()
    const seen = box.bottom > 0 && box.top < innerHeight && box.left >= 0 && box.right <= innerWidth
    return [reachable.indexOf(at), getComputedStyle(at).outlineStyle, seen]
}"""


@pytest.mark.parametrize("screen", [{}, NARROW], ids=["wide", "380"])
async def test_the_keyboard_reaches_all_that_a_mouse_does_and_shows_where_it_is(browser: Browser) -> None:
    await browser.log_in()
    for name, path in PAGES.items():
        await browser.open(path)
        count, reached = await browser.page.evaluate(LIST_REACHABLE), [-1]
        while reached[-1] < count - 1:
            await browser.page.keyboard.press("Tab")
            number, outline, seen = await browser.page.evaluate(WHERE_IT_IS)
            # In a field for a date, the keyboard goes through day, month and year.
            assert number in (reached[-1], reached[-1] + 1), name
            assert outline == "solid" and seen, (name, number)
            reached.append(number)


async def test_the_keyboard_alone_gets_one_from_the_log_in_to_a_user(browser: Browser) -> None:
    keyboard = browser.page.keyboard
    await browser.open("/login")
    await expect(
        browser.page.get_by_label("User name")
    ).to_be_focused()  # a person sees the cursor first, too
    await keyboard.type("grace")
    await keyboard.press("Tab")
    await keyboard.type("not-a-real-password")
    await keyboard.press("Enter")
    await expect(browser.page.get_by_role("heading", level=1)).to_have_text("Overview")
    for _ in range(2):  # the first is the link that skips to the content
        await keyboard.press("Tab")
    await keyboard.type("user_canceled")
    await keyboard.press("Enter")
    await expect(browser.page.get_by_role("heading", level=1)).to_contain_text("user_canceled")
    await keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert await browser.page.evaluate(outline) == "solid"
