"""From a checkout session to what a user has, before, while and after the webhooks come."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlmodel import select

from app.models import Customer, Subscription
from app.simulator import NEW, Account, Event, render_event
from app.simulator.api import FaultKind, complete_checkout
from app.simulator.model import CheckoutSession

from .client import AUTH, running
from .shop import ORIGIN, USER, Shop, ordered, shop

SYNC = "checkout-sessions/{}/sync"
INTERLEAVINGS = 100
STAGES = (None, "incomplete", "active")
"""What a subscription goes through, forwards only."""


async def test_who_has_paid_has_it_at_once_and_the_webhooks_change_nothing(database_url: str) -> None:
    async with shop(database_url) as here:
        made = await here.done("checkout-sessions", ordered(quantity=3))
        assert made["url"].endswith(made["session_id"])
        assert await here.plan_of() == "free"
        here.account.advance(60)
        subscription = complete_checkout(here.account, made["session_id"])
        synced = await here.done(SYNC.format(made["session_id"]), {"user_id": USER})
        assert (synced["status"], synced["payment_status"], synced["applied"]) == ("complete", "paid", True)
        assert synced["entitlements"]["plan"] == "team"
        assert synced["entitlements"]["features"]["projects"]["limit"] == 30
        assert synced["user_id"] == synced["subscription"]["user_id"] == USER
        assert synced["subscription"]["subscription_id"] == subscription.id
        await here.hear()
        user = await here.client.read(f"/internal/users/{USER}")
        assert [each["status"] for each in user["subscriptions"]] == ["active"]
        assert [each["customer_id"] for each in user["customers"]] == list(here.account.customers)


async def test_the_users_id_stands_wherever_a_webhook_looks_for_it(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session = here.account.sessions[await here.opened(email="ada@example.com", trial_days=14)]
        assert session.client_reference_id == session.metadata["user_id"] == USER
        assert session.subscription_metadata == {"user_id": USER} and session.trial_days == 14
        customer = here.account.customers[session.customer or ""]
        assert (customer.metadata, customer.email) == ({"user_id": USER}, "ada@example.com")
        assert [line.id for line, _ in session.line_items] == ["price_team"]


async def test_a_trial_counts_as_paid(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened(trial_days=14)
        complete_checkout(here.account, session_id)
        synced = await here.done(SYNC.format(session_id))
        assert synced["payment_status"] == "no_payment_required" and synced["applied"]
        assert synced["entitlements"]["status"] == "trialing"


async def test_an_unpaid_session_grants_nothing(database_url: str) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        synced = await here.done(SYNC.format(session_id))
        assert (synced["status"], synced["applied"], synced["subscription"]) == ("open", False, None)
        assert synced["user_id"] == USER and synced["entitlements"]["plan"] == "free"
        here.account.expire_checkout(here.account.sessions[session_id])
        assert not (await here.done(SYNC.format(session_id)))["applied"]
        assert await here.plan_of() == "free"


async def test_a_complete_session_whose_payment_is_on_the_way_grants_nothing(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened()
        complete_checkout(here.account, session_id)
        monkeypatch.setattr(CheckoutSession, "payment_status", "unpaid")
        synced = await here.done(SYNC.format(session_id))
        assert (synced["status"], synced["payment_status"], synced["applied"]) == (
            "complete",
            "unpaid",
            False,
        )
        assert await here.plan_of() == "free"


async def test_a_session_of_somebody_else_is_not_found(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened()
        complete_checkout(here.account, session_id)
        assert (await here.post(SYNC.format(session_id), {"user_id": "user_eve"})).status_code == 404
        for foreign in ("cs_test_another", "sub_1", "cs_1%3Fexpand=x", "..%2Fcustomers"):
            response = await here.post(SYNC.format(foreign))
            assert response.status_code == 404, foreign
        assert (await here.post(SYNC.format("cs_live_1"))).json()["title"] == "Not found"


async def test_a_second_live_subscription_is_refused_with_the_way_into_the_portal(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        refused = await here.order()
        assert refused.status_code == 409
        problem = refused.json()
        assert problem["subscription_id"] == subscription.id
        async with httpx.AsyncClient() as browser:
            page = await browser.get(problem["portal_url"])
        assert f'href="{ORIGIN}/plans"' in page.text
        second = await here.done("checkout-sessions", ordered(allow_second=True))
        assert second["customer_id"] == subscription.customer
        here.account.cancel_now(subscription)
        assert (await here.order()).status_code == 200, "it is over, whether we have heard of it or not"


async def test_who_bought_just_now_is_refused_though_no_webhook_came(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = complete_checkout(here.account, await here.opened())
        refused = await here.order()
        assert (refused.status_code, refused.json()["subscription_id"]) == (409, subscription.id)
        here.faults.next("error", 3, path="/v1/billing_portal")
        assert (await here.order()).json()["portal_url"] is None


async def test_a_customer_is_used_again_and_two_orders_at_once_make_one(database_url: str) -> None:
    async with shop(database_url) as here:
        made = await asyncio.gather(*(here.done("checkout-sessions", ordered()) for _ in range(4)))
        assert len(here.account.customers) == len({each["customer_id"] for each in made}) == 1
        await here.hear()
        await here.opened()
        assert len(here.account.customers) == 1
        assert len(here.account.sessions) == 5
        [entry] = await here.audited(made[0]["customer_id"])
        assert (entry.action, entry.after) == ("customer.created", {"user_id": USER})


async def test_a_deleted_customer_is_not_used_again(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.opened()
        [customer] = here.account.customers.values()
        here.account.delete_customer(customer)
        await here.hear()
        await here.opened()
        assert len(here.account.customers) == 2


async def test_a_key_makes_one_session_and_is_good_for_one_order(database_url: str) -> None:
    async with shop(database_url) as here:
        first = await here.done("checkout-sessions", ordered(key="order-7"))
        assert await here.done("checkout-sessions", ordered(key="order-7")) == first
        other = await here.order(key="order-7", quantity=2)
        assert other.status_code == 409 and "another request" in other.json()["detail"]
        assert (await here.order("user_bob", key="order-7")).status_code == 200
        assert len(here.account.sessions) == 2


async def test_what_the_catalogue_does_not_sell_is_refused(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        here.account.create_price("price_unknown", 100)
        assert (await here.order(price_id="price_unknown")).status_code == 404
        assert (await here.order(plan="gold")).status_code == 404
        assert (await here.order(plan="free")).status_code == 422
        assert (await here.order(plan="team", price_id="price_team")).status_code == 422
        assert (await here.order(price_id="price_team", quantity=0)).status_code == 422
        assert (await here.order(price_id="price_more_projects", quantity=2)).status_code == 200


async def test_what_stripe_does_not_have_is_refused_in_its_words(
    sqlite_database: str, tmp_path: Path
) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text(
        '[features]\nsso = { kind = "boolean" }\n[plans.gold]\nprices = ["price_gold"]\nsso = true\n'
    )
    async with shop(sqlite_database, plans_file=plans) as here:
        refused = await here.order(plan="gold")
        assert refused.status_code == 422 and "No such price: 'price_gold'" in refused.json()["detail"]


HOSTILE = [
    "https://app.example.com@evil.test/",
    "https://app.example.com:443@evil.test/",
    "https://app.example.com:pass@evil.test/",
    "https://evil.test\\@app.example.com/",
    "https://app.example.com\\@evil.test/",
    "https://app.example.com/\\evil.test",
    "https:\\\\app.example.com/",
    "//app.example.com/",
    "https:app.example.com/",
    "https:///app.example.com/",
    "https://app.example.com//evil.test/",
    "https://app.example.com.evil.test/",
    "https://app.example.com./",
    "https://app.example.com:8443/",
    "https://app.example.com:0443/",
    "https://app.example.com:/",
    "http://app.example.com/",
    "https://APP.example.com\t/",
    "https://app.example.com/\n",
    "https://app.exa\tmple.com/",
    "\x01https://app.example.com/",
    " https://app.example.com/",
    "https://app.example.com/\x00",
    "https://аpp.example.com/",
    "https://app。example.com/",
    "https://app.example.com/ü",
    "https://app%2eexample.com/",
    "javascript://app.example.com/%0aalert(1)",
    "javascript:alert(1)",
    "data:text/html,hello",
    "/welcome",
    "",
    "https://evil.test/?https://app.example.com/",
    "https://evil.test#@app.example.com/",
    "https://app.example.com/" + 2000 * "a",
    "https://127.0.0.1:8000/",
    "http://127.0.0.1:80000/",
    "http://127.0.0.1/",
    "http://2130706433:8000/",
    "https://aPP.example.\u212aom/",
]


async def test_people_are_sent_back_to_allowed_origins_alone(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.opened()
        for url in HOSTILE:
            for response in (
                await here.order(success_url=url),
                await here.order(cancel_url=url),
                await here.post("portal-sessions", {"user_id": USER, "return_url": url}),
            ):
                assert response.status_code == 422, repr(url)
                assert "ALLOWED_RETURN_ORIGINS" in response.json()["detail"], repr(url)
        assert len(here.account.sessions) == 1
        for url in (
            ORIGIN,
            f"{ORIGIN}:443/a?b=//c#d",
            "HTTPS://App.Example.com/x",
            "http://127.0.0.1:8000?x",
        ):
            assert (await here.order(success_url=url, cancel_url=url)).status_code == 200, url


async def test_without_origins_nobody_is_sent_anywhere(sqlite_database: str) -> None:
    async with shop(sqlite_database, allowed_return_origins=()) as here:
        refused = await here.order()
        assert refused.status_code == 422 and "ALLOWED_RETURN_ORIGINS" in refused.json()["detail"]


async def test_without_a_key_it_says_what_to_set(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        for path, body in (
            ("checkout-sessions", ordered()),
            ("checkout-sessions/cs_test_1/sync", None),
            ("portal-sessions", {"user_id": USER, "return_url": ORIGIN}),
            ("subscriptions/sub_1/change", {"quantity": 2}),
            ("subscriptions/sub_1/cancel", None),
            ("subscriptions/sub_1/resume", None),
        ):
            response = await client.http.post(f"/internal/{path}", json=body, headers=AUTH)
            assert response.status_code == 501, path
            assert response.headers["content-type"] == "application/problem+json"
            assert "STRIPE_API_KEY" in response.json()["detail"]


async def test_a_key_of_the_other_mode_sells_nothing(sqlite_database: str) -> None:
    async with shop(sqlite_database, livemode=True) as here:
        refused = await here.order()
        assert refused.status_code == 501 and "LIVEMODE" in refused.json()["detail"]
        assert here.account.customers == {}
    key = SecretStr("sk_live_fake_simulator")
    async with shop(sqlite_database, stripe_api_key=key) as here:
        session = here.account.open_checkout([("price_team", 1)])
        assert (await here.post(SYNC.format(session.id))).status_code == 404


async def test_customers_of_the_other_mode_are_left_alone(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        live = Account(2, livemode=True)
        live.create_customer(user_id=USER)
        await here.client.send(render_event(live.events[-1], NEW, livemode=True))
        assert (await here.done("checkout-sessions", ordered()))["customer_id"] not in live.customers


@pytest.mark.parametrize("kind", ["error", "rate_limit", "disconnect", "cut"])
async def test_a_stripe_that_fails_now_and_then_is_asked_again(sqlite_database: str, kind: FaultKind) -> None:
    async with shop(sqlite_database) as here:
        here.faults.next(kind, 1, seconds=0, path="/v1/checkout")
        first = await here.order(key="order-7")
        assert first.status_code in (200, 502), first.text
        session_id = await here.opened(key="order-7")
        assert list(here.account.sessions) == [session_id], "the request was repeated, the session is one"


OUTAGES: list[tuple[int, FaultKind]] = [(3, "error"), (6, "rate_limit")]
"""As many as it takes for a request to be given up."""


async def test_while_stripe_is_down_it_is_said_and_nothing_is_half_written(database_url: str) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        complete_checkout(here.account, session_id)
        before = await everything(here)
        assert before
        for count, kind in OUTAGES:
            here.faults.next(kind, count, seconds=0)
            refused = await here.post(SYNC.format(session_id))
            assert refused.status_code == 502 and "Try again" in refused.json()["detail"]
            assert refused.headers["content-type"] == "application/problem+json"
        assert await everything(here) == before
        assert (await here.done(SYNC.format(session_id)))["applied"]


async def test_who_waits_is_not_kept_waiting_for_a_slow_stripe(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stripe_api.PROMPTLY_SECONDS", 0.2)
    async with shop(sqlite_database) as here:
        slow: list[FaultKind] = ["delay", "rate_limit"]
        for kind in slow:
            here.faults.next(kind, 1, seconds=1)
            refused = await here.order()
            assert refused.status_code == 502 and "in time" in refused.json()["detail"]
        assert here.account.sessions == {}


async def everything(here: Shop) -> Any:
    async with here.service.database.reading() as session:
        rows = [*(await session.exec(select(Customer))), *(await session.exec(select(Subscription)))]
        return [row.model_dump() for row in rows]


async def test_a_sync_among_its_own_webhooks_never_takes_anything_back(database_url: str) -> None:
    """The same purchase in a hundred orders: syncs and events one by one or at once, some twice."""
    dice = random.Random(4)
    async with shop(database_url) as here:
        for number in range(INTERLEAVINGS):
            await one_purchase(here, f"user_{number}", dice)
        async with here.service.database.reading() as session:
            assert len(list(await session.exec(select(Subscription)))) == INTERLEAVINGS


async def one_purchase(here: Shop, user_id: str, dice: random.Random) -> None:
    earlier = len(here.account.events)
    session_id = await here.opened(user_id, quantity=2)
    here.account.advance(dice.choice((0, 0, 1, 5)))
    subscription = complete_checkout(here.account, session_id)
    here.account.advance(dice.choice((0, 0, 1, 2, 5)))
    events = here.account.events[earlier:]
    steps: list[Event | None] = [*events, *dice.sample(events, 3), None, None, None]
    dice.shuffle(steps)
    reached, synced = -1, False
    while steps:
        together = [steps.pop() for _ in range(min(dice.choice((1, 1, 2, 3)), len(steps)))]
        await asyncio.gather(*(one_step(here, step, session_id) for step in together))
        synced = synced or None in together
        stage = await stage_of(here, subscription.id)
        assert stage >= reached, "the state went back"
        reached = stage
        if synced:
            assert STAGES[stage] == "active"
            assert await here.plan_of(user_id) == "team"
    user = await here.client.read(f"/internal/users/{user_id}")
    assert [each["subscription_id"] for each in user["subscriptions"]] == [subscription.id]
    assert user["subscriptions"][0]["quantity"] == 2


async def one_step(here: Shop, step: Event | None, session_id: str) -> None:
    if step is not None:
        await here.client.deliver(step)
    else:
        assert (await here.done(SYNC.format(session_id)))["entitlements"]["plan"] == "team"


async def stage_of(here: Shop, subscription_id: str) -> int:
    async with here.service.database.reading() as session:
        row = await session.get(Subscription, subscription_id)
        return STAGES.index(row.status if row else None)


async def test_a_late_sync_undoes_no_later_link(database_url: str) -> None:
    async with shop(database_url) as here:
        session_id = await here.opened()
        subscription = complete_checkout(here.account, session_id)
        await here.hear()
        here.account.advance(60)
        customer = here.account.customers[subscription.customer]
        here.account.set_metadata(subscription)
        here.account.update_customer(customer, user_id="user_bob")
        await here.hear()
        here.account.advance(60)
        assert (await here.done(SYNC.format(session_id)))["user_id"] == "user_bob"
        assert (await here.post(SYNC.format(session_id), {"user_id": USER})).status_code == 404
