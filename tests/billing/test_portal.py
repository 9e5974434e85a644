"""The way into the billing portal, whatever became of the subscription."""

from typing import Any

import httpx
import pytest

from app.simulator import Subscription

from ..shop import ORIGIN, USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

BACK = {"return_url": f"{ORIGIN}/billing"}


def become(here: Shop, subscription: Subscription, status: str) -> None:
    """Let the account lead the subscription there."""
    if status == "canceled":
        here.account.cancel_now(subscription)
    elif status in ("past_due", "unpaid"):
        here.account.advance(30 * 86_400)
        invoice = here.account.renew(subscription, paid=False)
        if status == "unpaid":
            here.account.give_up(invoice)
    assert subscription.status == status


@pytest.mark.parametrize("status", ["active", "past_due", "unpaid", "canceled"])
@pytest.mark.rest_in_long(2)
async def test_no_status_keeps_anybody_out_of_the_portal(database_url: str, status: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        become(here, subscription, status)
        await here.hear()
        made = await here.done("portal-sessions", {"user_id": USER, **BACK})
        assert made["customer_id"] == subscription.customer
        async with httpx.AsyncClient() as browser:
            page = await browser.get(made["url"])
        assert f"price_team: {status}" in page.text and BACK["return_url"] in page.text


async def test_of_several_customers_the_one_that_subscribes_is_meant(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        paying: Any = None
        for number in range(5):
            customer = here.account.create_customer(f"ada{number}@example.com", user_id=USER)
            subscription = here.account.create_subscription(customer)
            here.account.advance(60)
            if number != 2:
                here.account.cancel_now(subscription)
            else:
                paying = customer
        await here.hear()
        assert (await here.done("portal-sessions", {"user_id": USER, **BACK}))["customer_id"] == paying.id
        here.account.delete_customer(paying)
        await here.hear()
        latest = list(here.account.customers)[-1]
        assert (await here.done("portal-sessions", {"user_id": USER, **BACK}))["customer_id"] == latest


async def test_a_user_without_a_customer_has_no_portal(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        refused = await here.post("portal-sessions", {"user_id": "user_nobody", **BACK})
        assert refused.status_code == 404 and "checkout" in refused.json()["detail"]


async def test_a_stripe_that_is_down_is_said_to_be(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.bought()
        here.faults.next("error", 3)
        refused = await here.post("portal-sessions", {"user_id": USER, **BACK})
        assert refused.status_code == 502 and "Try again" in refused.json()["detail"]


async def test_a_deep_link_leads_to_one_task_and_back(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        about: tuple[tuple[dict[str, Any], str], ...] = (
            ({"flow": "payment_method_update"}, "Add or change the card"),
            ({"flow": "subscription_cancel"}, "Cancel the subscription"),
            ({"flow": "subscription_update", "subscription_id": subscription.id}, "Change the subscription"),
            ({"flow": "subscription_update_confirm", "plan": "starter"}, "Confirm the change"),
            ({"flow": "subscription_update_confirm", "quantity": 5}, "Confirm the change"),
        )
        async with httpx.AsyncClient() as browser:
            for task, said in about:
                made = await here.done("portal-sessions", {"user_id": USER, **BACK, **task})
                assert made["customer_id"] == subscription.customer
                assert said in (await browser.get(made["url"])).text


async def test_a_task_that_the_portal_cannot_do_is_refused(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(quantity=2)
        eve = await here.bought("user_eve")
        for task, status in (
            ({"flow": "subscription_update_confirm"}, 422),
            ({"flow": "subscription_update_confirm", "quantity": 2}, 422),
            ({"flow": "subscription_update_confirm", "plan": "gold"}, 404),
            ({"flow": "subscription_cancel", "plan": "starter"}, 422),
            ({"flow": "subscription_cancel", "subscription_id": eve.id}, 404),
            ({"flow": "subscription_cancel", "subscription_id": "sub_unknown"}, 404),
            ({"flow": "sell_a_kidney"}, 422),
            ({"plan": "starter"}, 422),
        ):
            refused = await here.post("portal-sessions", {"user_id": USER, **BACK, **task})
            assert refused.status_code == status, (task, refused.text)
        await here.done(f"subscriptions/{subscription.id}/change", {"plan": "starter"})
        for flow in ("subscription_cancel", "subscription_update"):
            refused = await here.post("portal-sessions", {"user_id": USER, **BACK, "flow": flow})
            assert refused.status_code == 409 and "Resume it first" in refused.json()["detail"]
        await here.done("portal-sessions", {"user_id": USER, **BACK, "flow": "payment_method_update"})
