"""What a billing page shows: as a pure function, through the route, and on the example's page."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.billing.summary import Summary, summarize
from app.config import SHIPPED_PLANS
from app.db.models import Customer, Invoice, Subscription
from app.entitlements import entitle
from app.plans import load_catalogue
from app.simulator import DAY, Account
from app.worker.worker import Worker
from examples import billing_page

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock

pytestmark = pytest.mark.postgresql_in_long

CATALOGUE = load_catalogue(SHIPPED_PLANS)
ADA = {"X-User": "ada"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        client.app.include_router(billing_page.router)
        yield client


def ada(**subscription: Any) -> tuple[Account, Any]:
    account = Account(1, start=START)
    return account, account.create_subscription(account.create_customer(user_id="ada"), **subscription)


async def summary(client: Client, user: str = "ada") -> Any:
    return await client.read(f"/internal/users/{user}/summary")


async def page(client: Client) -> str:
    response = await client.http.get("/billing", headers=ADA)
    assert response.status_code == 200, response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    return response.text


async def use(client: Client, feature: str, amount: int) -> None:
    body = {"op": "set", "amount": amount}
    response = await client.http.post(f"/internal/users/ada/usage/{feature}", json=body, headers=AUTH)
    assert response.status_code == 200, response.text


def kinds(shown: Any) -> list[str]:
    return [banner["kind"] for banner in shown["banners"]]


async def test_who_never_bought_has_the_default_plan_and_can_choose(client: Client) -> None:
    shown = await summary(client)
    assert (shown["plan"], shown["subscriptions"], shown["open_invoices"]) == ("free", [], [])
    assert shown["banners"] == []
    assert [(choice["plan"], choice["upgrade"], choice["fits"]) for choice in shown["choices"]] == [
        ("starter", True, True),
        ("team", True, True),
    ]
    assert shown["choices"][0]["prices"] == ["price_starter"]
    html = await page(client)
    assert "Starter" in html and "0 of 3" in html
    assert html.count("<button") == html.count("disabled>") == 2  # Stripe's API has no key here


async def test_who_pays_sees_plan_prices_renewal_and_usage(client: Client) -> None:
    account, _ = ada(price="price_team", quantity=2)
    await client.deliver(*account.events)
    await use(client, "projects", 18)
    await use(client, "api_calls", 5)
    shown = await summary(client)
    (subscription,) = shown["subscriptions"]
    assert (shown["plan"], subscription["plan"], subscription["access"]) == ("team", "team", "full")
    assert (subscription["renews_at"], subscription["ends_at"]) == (START + 30 * DAY, None)
    (price,) = subscription["prices"]
    assert (price["price_id"], price["quantity"], price["unit_amount"]) == ("price_team", 2, 2900)
    bars = {bar["feature"]: bar for bar in shown["usage"]}
    projects = bars["projects"]
    assert (projects["used"], projects["limit"], projects["share"]) == (18, 20, 0.9)
    assert (projects["level"], projects["remaining"]) == ("warn", 2)
    assert (bars["storage_bytes"]["share"], bars["storage_bytes"]["level"]) == (None, "ok")
    assert bars["api_calls"]["resets_at"] == START + 31 * DAY
    sso = {"feature": "sso", "name": "Single sign-on", "text": "included", "value": True}
    assert sso in shown["included"]
    assert (shown["banners"], [choice["plan"] for choice in shown["choices"]]) == ([], ["starter"])
    html = await page(client)
    for part in ("Renews on 31 January 2030", "2 × 29.00 USD a month", "18 of 20", 'value="0.9"'):
        assert part in html, part


async def test_a_choice_that_is_too_small_says_by_how_much(client: Client) -> None:
    account, _ = ada(price="price_team", quantity=2)
    await client.deliver(*account.events)
    await use(client, "projects", 18)
    (starter,) = (await summary(client))["choices"]
    assert (starter["plan"], starter["upgrade"], starter["fits"]) == ("starter", False, False)
    change = next(each for each in starter["changes"] if each["feature"] == "projects")
    assert (change["limit_now"], change["limit_then"], change["over"]) == (20, 10, 8)
    assert change["text_over"] == "8 projects"
    assert "you use 8 projects more than that" in await page(client)


async def test_a_failed_payment_shows_how_to_pay_and_until_when_and_then_that_the_plan_is_suspended(
    client: Client, clock: Clock
) -> None:
    account, subscription = ada()
    account.advance(30 * DAY)
    invoice = account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    clock.now += 30 * DAY
    shown = await summary(client)
    (banner,) = shown["banners"]
    assert (banner["kind"], banner["severity"]) == ("past_due", "warning")
    assert (banner["at"], banner["pay_url"]) == (START + 37 * DAY, invoice.hosted_invoice_url)
    (shown_invoice,) = shown["open_invoices"]
    assert (shown_invoice["amount_remaining"], shown_invoice["attempted"]) == (2900, True)
    assert f'href="{invoice.hosted_invoice_url}"' in await page(client)

    clock.now += 8 * DAY
    shown = await summary(client)
    assert (shown["plan"], shown["restorable_plan"], kinds(shown)) == ("free", "team", ["payment_required"])
    assert "team" not in [choice["plan"] for choice in shown["choices"]]  # it is paid for, not bought again
    assert shown["subscriptions"][0]["access"] == "none"
    assert "Team is suspended" in await page(client)

    account.recover(invoice)
    await client.deliver(account.events[-2], account.events[-1])
    shown = await summary(client)
    assert (kinds(shown), shown["open_invoices"]) == ([], [])


async def test_a_payment_that_a_bank_wants_confirmed_says_so(client: Client, clock: Clock) -> None:
    account, subscription = ada()
    account.advance(30 * DAY)
    invoice = account.renew(subscription, paid=False)
    account.fail_payment(invoice, action_required=True)
    await client.deliver(*account.events)
    clock.now += 30 * DAY
    (banner,) = (await summary(client))["banners"]
    assert (banner["kind"], banner["severity"]) == ("action_required", "error")
    assert banner["pay_url"] == invoice.hosted_invoice_url


async def test_a_first_payment_that_is_not_made_yet_is_to_be_confirmed(client: Client) -> None:
    account, _ = ada(paid=None)
    await client.deliver(*account.events)
    assert kinds(await summary(client)) == ["action_required"]


async def test_a_trial_is_shown_and_warned_of_when_its_end_is_near(client: Client, clock: Clock) -> None:
    account, _ = ada(trial_days=14)
    await client.deliver(*account.events)
    shown = await summary(client)
    assert (shown["subscriptions"][0]["trial_ends_at"], kinds(shown)) == (START + 14 * DAY, [])
    clock.now += 11 * DAY
    (banner,) = (await summary(client))["banners"]
    assert (banner["kind"], banner["at"]) == ("trial_ending", START + 14 * DAY)
    assert "On trial until 15 January 2030" in await page(client)


async def test_who_canceled_sees_the_end_and_no_renewal(client: Client) -> None:
    account, subscription = ada()
    account.cancel_at_period_end(subscription)
    await client.deliver(*account.events)
    shown = await summary(client)
    entry = shown["subscriptions"][0]
    assert (entry["renews_at"], entry["ends_at"]) == (None, START + 30 * DAY)
    assert kinds(shown) == ["canceling"]
    assert "Ends on 31 January 2030" in await page(client)
    account.un_cancel(subscription)
    await client.deliver(account.events[-1])
    shown = await summary(client)
    assert (shown["subscriptions"][0]["renews_at"], kinds(shown)) == (START + 30 * DAY, [])


async def test_over_the_limit_after_a_downgrade_is_a_warning_that_names_the_features(client: Client) -> None:
    account, subscription = ada(quantity=2)
    await client.deliver(*account.events)
    await use(client, "projects", 18)
    account.change_price(subscription, "price_starter")
    await client.deliver(*account.events)
    shown = await summary(client)
    (banner,) = shown["banners"]
    assert (banner["kind"], banner["features"]) == ("over_limit", ["projects"])
    bar = next(bar for bar in shown["usage"] if bar["feature"] == "projects")
    assert (bar["level"], bar["share"], bar["remaining"]) == ("over", 1.0, 0)


async def test_over_a_soft_limit_is_no_warning(client: Client) -> None:
    account, _ = ada()
    await client.deliver(*account.events)
    await use(client, "api_calls", 100_001)
    shown = await summary(client)
    bar = next(bar for bar in shown["usage"] if bar["feature"] == "api_calls")
    assert (bar["level"], bar["soft"], kinds(shown)) == ("over", True, [])


async def test_a_paused_trial_is_shown(client: Client) -> None:
    account, subscription = ada(trial_days=14)
    account.pause(subscription)
    await client.deliver(*account.events)
    shown = await summary(client)
    assert (kinds(shown), shown["restorable_plan"]) == (["paused"], "team")


async def test_what_cannot_be_a_users_id_is_404(client: Client) -> None:
    assert (await client.get("/internal/users/%00/summary")).status_code == 404


def hostile() -> Summary:
    """Rows as a stranger would like them."""
    evil = '"><script>alert(1)</script>'
    customer = Customer(id="cus_1", user_id=evil)
    item = {"price_id": evil, "quantity": 1, "unit_amount": 5, "currency": "<b>", "interval": "<i>"}
    row = Subscription(id="sub_1", customer_id="cus_1", status="past_due", items=[item], start_date=START)
    invoices = [
        Invoice(
            id=f"in_{number}<b>",
            customer_id="cus_1",
            subscription_id="sub_1",
            status="open",
            amount_remaining=5,
            currency="<b>",
            attempt_count=1,
            hosted_invoice_url=url,
            created=START + number,
        )
        for number, url in enumerate(("javascript:alert(1)", 'https://pay.test/"onclick="alert(1)', "data:x"))
    ]
    made = entitle(evil, [row], invoices, [customer], [], CATALOGUE, START + 9, {"projects": 1})
    return summarize(made, [row], invoices)


def test_a_link_that_is_no_web_page_is_left_out() -> None:
    shown = hostile()
    urls = [invoice.pay_url for invoice in shown.open_invoices]
    assert urls == [None, 'https://pay.test/"onclick="alert(1)', None]
    assert shown.banners[0].pay_url == urls[1]


def test_hostile_content_is_text_on_the_page() -> None:
    html = billing_page.render(hostile())
    for raw in ("<script", "javascript:", "<b>", "<i>", 'test/"onclick'):
        assert raw not in html, raw
    assert "0.05 &lt;B&gt; a &lt;i&gt;" in html


def test_the_main_subscription_comes_first_and_those_that_are_over_are_left_out() -> None:
    def row(id: str, status: str, price: str) -> Subscription:
        item = {"price_id": price, "quantity": 1}
        return Subscription(id=id, customer_id="cus_1", status=status, items=[item], start_date=START)

    rows = [
        row("sub_1", "active", "price_more_projects"),
        row("sub_2", "active", "price_team"),
        row("sub_3", "canceled", "price_team"),
    ]
    made = entitle("ada", rows, [], [Customer(id="cus_1")], [], CATALOGUE, START, {})
    shown = summarize(made, rows, [])
    assert [each.subscription_id for each in shown.subscriptions] == ["sub_2", "sub_1"]
    assert [each.plan for each in shown.subscriptions] == ["team", None]


END = START + 30 * DAY


@pytest.mark.parametrize(
    ("values", "renews_at", "ends_at"),
    [
        ({}, END, None),
        ({"cancel_at_period_end": True}, None, END),
        ({"cancel_at_period_end": True, "expiry_date": None, "cancel_at": END + 5}, None, END + 5),
        ({"cancel_at": END + 5}, None, END + 5),
        ({"cancel_at": START + DAY, "expiry_date": START + DAY}, None, START + DAY),
        ({"status": "unpaid"}, None, None),
    ],
)
def test_the_end_that_is_shown_is_the_one_that_access_has(
    values: dict[str, Any], renews_at: int | None, ends_at: int | None
) -> None:
    given: dict[str, Any] = {"status": "active", "start_date": START, "expiry_date": END} | values
    item = {"price_id": "price_team", "quantity": 1}
    row = Subscription(id="sub_1", customer_id="cus_1", items=[item], **given)
    made = entitle("ada", [row], [], [Customer(id="cus_1")], [], CATALOGUE, START, {})
    (shown,) = summarize(made, [row], []).subscriptions
    assert (shown.renews_at, shown.ends_at) == (renews_at, ends_at)
    if ends_at is not None:
        at_the_end = entitle("ada", [row], [], [Customer(id="cus_1")], [], CATALOGUE, ends_at, {})
        before = entitle("ada", [row], [], [Customer(id="cus_1")], [], CATALOGUE, ends_at - 1, {})
        assert (before.access, at_the_end.access) == ("full", "none")
