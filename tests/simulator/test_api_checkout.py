"""From a checkout session to a subscription."""

from typing import Any

import pytest
import stripe
from stripe.params.checkout import SessionCreateParams

from app.simulator import DAY, NEW, OLD, Account, render, truth
from app.simulator.api import complete_checkout

from .client import browsing, connected, ids

SESSION: SessionCreateParams = {
    "mode": "subscription",
    "line_items": [{"price": "price_team", "quantity": 3}, {"price": "price_more_projects", "quantity": 1}],
    "success_url": "https://app.example/welcome?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://app.example/plans",
    "client_reference_id": "user_ada",
    "metadata": {"campaign": "spring"},
    "subscription_data": {"metadata": {"user_id": "user_ada"}},
}


async def test_an_open_session_is_no_event_and_sells_nothing_yet() -> None:
    account = Account(1)
    async with connected(account) as client:
        session = await client.v1.checkout.sessions.create_async(SESSION)
        assert session.id.startswith("cs_test_") and session.url is not None
        assert (session.status, session.payment_status) == ("open", "unpaid")
        assert session.customer is None and session.subscription is None
        assert session.amount_total == 3 * 2900 + 500
        assert (await client.v1.checkout.sessions.retrieve_async(session.id)).to_dict() == session.to_dict()
    assert account.events == [] and account.customers == {}


async def test_a_completed_checkout_makes_customer_subscription_invoice_and_their_events() -> None:
    account = Account(1)
    async with connected(account) as client:
        session = await client.v1.checkout.sessions.create_async(
            {**SESSION, "customer_email": "ada@example.com"}
        )
        account.advance(60)
        subscription = complete_checkout(account, session.id)
        assert complete_checkout(account, session.id) is subscription, "once done, it stays done"
        found: Any = await client.v1.checkout.sessions.retrieve_async(
            session.id, {"expand": ["subscription", "customer", "invoice", "line_items"]}
        )
    assert (found.status, found.payment_status, found.url) == ("complete", "paid", None)
    assert found.client_reference_id == "user_ada" and found.metadata.to_dict() == {"campaign": "spring"}
    assert found.customer.email == found.customer_details.email == "ada@example.com"
    assert found.invoice.status == "paid" and found.invoice.amount_paid == 3 * 2900 + 500
    assert found.subscription.metadata.to_dict() == {"user_id": "user_ada"}
    assert [line.quantity for line in found.line_items.data] == [3, 1]
    assert [event.type for event in account.events] == [
        "customer.created",
        "invoice.created",
        "customer.subscription.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]
    shown = truth(account)["subscriptions"][subscription.id]
    assert (shown["user_id"], shown["status"], shown["quantity"]) == ("user_ada", "active", 3)
    assert len(account.subscriptions) == 1


async def test_the_page_behind_the_url_completes_it_and_leads_on() -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com")
    async with connected(account) as client:
        session = await client.v1.checkout.sessions.create_async({**SESSION, "customer": customer.id})
    async with browsing(account) as browser:
        assert session.url is not None
        for _ in range(2):  # a buyer who reloads
            page = await browser.get(f"/c/pay/{session.id}", headers={"Authorization": ""})
            assert page.status_code == 303
            assert page.headers["location"] == f"https://app.example/welcome?session={session.id}"
        assert (await browser.get("/c/pay/cs_test_x")).status_code == 404
    assert list(account.customers) == [customer.id] and len(account.subscriptions) == 1


async def test_a_trial_is_paid_later() -> None:
    account = Account(1)
    async with connected(account) as client:
        data: Any = {"trial_period_days": 14, "metadata": {"user_id": "user_ada"}}
        session = await client.v1.checkout.sessions.create_async({**SESSION, "subscription_data": data})
        assert session.amount_total == 0
        subscription = complete_checkout(account, session.id)
        found = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert found.payment_status == "no_payment_required" and found.invoice is None
    assert subscription.status == "trialing" and subscription.trial_end == account.now + 14 * DAY


async def test_a_session_expires_after_a_day_or_when_told_to() -> None:
    account = Account(1)
    async with connected(account) as client:
        first = await client.v1.checkout.sessions.create_async(SESSION)
        second = await client.v1.checkout.sessions.create_async(SESSION)
        expired = await client.v1.checkout.sessions.expire_async(first.id)
        assert (expired.status, expired.url) == ("expired", None)
        assert ids(await client.v1.checkout.sessions.list_async({"status": "expired"})) == [first.id]
        with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
            await client.v1.checkout.sessions.expire_async(first.id)
        account.advance(DAY)
        for session in (first, second):
            with pytest.raises(ValueError, match="expired"):
                complete_checkout(account, session.id)
    async with browsing(account) as browser:
        assert (await browser.get(f"/c/pay/{second.id}")).status_code == 410
    assert [event.type for event in account.events] == ["checkout.session.expired"]


async def test_what_stripe_refuses_of_a_session_is_refused() -> None:
    account = Account(1)
    customer = account.create_customer()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"line_items": [{"price": "price_x", "quantity": 1}]}, "No such price: 'price_x'"),
        ({"line_items": []}, "Missing required param: line_items"),
        ({"line_items": [{"quantity": 1}]}, r"Missing required param: line_items\[0\]\[price\]"),
        ({"customer": "cus_x"}, "No such customer"),
        ({"customer": customer.id, "customer_email": "a@example.com"}, "only specify one"),
        ({"success_url": ""}, "Missing required param: success_url"),
        ({"success_url": "/welcome"}, "Not a valid URL"),
        ({"mode": "setup"}, "mode"),
        ({"mode": "payment"}, "subscription_data"),
        ({"subscription_data": {"trial_period_days": 0}}, "minimum number of trial period days"),
        ({"subscription_data": {"user_id": "u"}}, r"unknown parameter: subscription_data\[user_id\]"),
        ({"ui_mode": "elements"}, "hosted"),
        ({"ui_mode": "embedded_page"}, "use `return_url`"),
        ({"ui_mode": "embedded_page", "success_url": ""}, "Missing required param: return_url"),
        ({"customer_creation": "always"}, "does not play the parameter customer_creation"),
    ]
    async with connected(account) as client:
        for change, message in wrong:
            params: Any = {**SESSION, **change}
            with pytest.raises(stripe.InvalidRequestError, match=message) as refused:
                await client.v1.checkout.sessions.create_async(params)
            assert refused.value.http_status == 400
    assert account.sessions == {}


async def test_sessions_of_the_scenarios_look_as_before() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    session = account.complete_checkout(subscription, client_reference_id="user_ada")
    for shape in (OLD, NEW):
        shown = render(session, shape)
        assert (shown["status"], shown["payment_status"], shown["url"]) == ("complete", "paid", None)
        assert shown["customer_details"] is None and shown["success_url"] == "https://app.example/welcome"
