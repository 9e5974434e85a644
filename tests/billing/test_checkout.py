"""From a checkout session to what a user has, before, while and after the webhooks come."""

import asyncio
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.simulator import NEW, Account, render_event
from app.simulator.api import complete_checkout
from app.simulator.model import CheckoutSession

from ..client import AUTH, running
from ..shop import ORIGIN, USER, ordered, shop

pytestmark = pytest.mark.postgresql_in_long

SYNC = "checkout-sessions/{}/sync"


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
        headers = AUTH | {"Idempotency-Key": "order-7"}
        path = "/internal/checkout-sessions"
        again = await here.client.http.post(path, json=ordered(), headers=headers)
        assert again.json() == first
        differ = await here.client.http.post(path, json=ordered(key="order-8"), headers=headers)
        assert (differ.status_code, "two keys" in differ.json()["detail"]) == (422, True)
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
        assert (await here.order(price_id="price_more_projects", quantity=2)).status_code == 422


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
