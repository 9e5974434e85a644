"""What is done over HTTP is done to the account, with its events."""

from typing import Any

import pytest
import stripe
from stripe.params import CustomerCreateParams

from app.simulator import DAY, NEW, Account, Subscription, render, render_event, truth
from app.simulator.api import serving

from .client import browsing, client_of, connected, ids, plain


def subscribed() -> tuple[Account, Subscription]:
    account = Account(1)
    customer = account.create_customer("ada@example.com", user_id="user_ada")
    return account, account.create_subscription(customer, ("price_team", "price_more_projects"), quantity=2)


def new_types(account: Account, since: int) -> list[str]:
    return [event.type for event in account.events[since:]]


async def test_a_customer_is_created_and_updated_with_events_that_say_so() -> None:
    account = Account(1)
    params: CustomerCreateParams = {"email": "ada@example.com", "metadata": {"user_id": "u1", "0": "zero"}}
    async with connected(account) as client:
        made = await client.v1.customers.create_async(params)
        assert made.to_dict() == render(account.customers[made.id], NEW)
        await client.v1.customers.update_async(
            made.id, {"name": "Ada", "metadata": {"user_id": "u2", "0": ""}}
        )
        changed = await client.v1.customers.update_async(made.id, {"name": "Ada"})
        assert (changed.name, changed.email) == ("Ada", "ada@example.com")
        assert changed.metadata is not None and changed.metadata.to_dict() == {"user_id": "u2"}
        cleared = await client.v1.customers.update_async(made.id, {"metadata": ""})
        assert account.customers[made.id].metadata == {} == plain(cleared)["metadata"]
    assert new_types(account, 0) == ["customer.created", "customer.updated", "customer.updated"]
    previous = render_event(account.events[1], NEW)["data"]["previous_attributes"]
    assert previous == {"metadata": {"0": "zero", "user_id": "u1"}, "name": None}


async def test_a_deleted_customers_subscriptions_end_with_it() -> None:
    account, subscription = subscribed()
    since = len(account.events)
    async with connected(account) as client:
        gone = await client.v1.customers.delete_async(subscription.customer)
        assert gone.deleted is True
        assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    assert new_types(account, since) == ["customer.subscription.deleted", "customer.deleted"]


async def test_all_changes_of_one_update_are_one_event() -> None:
    account, subscription = subscribed()
    first, second = subscription.items
    since = len(account.events)
    async with connected(account) as client:
        found = await client.v1.subscriptions.update_async(
            subscription.id,
            {
                "items": [
                    {"id": first.id, "price": "price_team_yearly", "quantity": 5},
                    {"id": second.id, "deleted": True},
                    {"price": "price_starter"},
                ],
                "metadata": {"tier": "gold"},
                "cancel_at_period_end": True,
                "proration_behavior": "none",
            },
        )
    items = [(item.price.id, item.quantity) for item in found["items"].data]
    assert items == [("price_team_yearly", 5), ("price_starter", 1)]
    assert found.cancel_at_period_end and found.cancel_at == subscription.period_end
    assert new_types(account, since) == ["customer.subscription.updated"]
    assert render_event(account.events[-1], NEW)["data"]["object"] == plain(found)
    shown = truth(account)["subscriptions"][subscription.id]
    assert (shown["plan_id"], shown["quantity"], shown["cancel_at_period_end"]) == (
        "price_team_yearly",
        5,
        True,
    )


async def test_a_planned_cancellation_can_be_taken_back_and_collection_paused() -> None:
    account, subscription = subscribed()
    before = render(subscription, NEW)
    async with connected(account) as client:
        update = client.v1.subscriptions.update_async
        await update(subscription.id, {"cancel_at_period_end": True})
        assert plain(await update(subscription.id, {"cancel_at_period_end": False})) == before
        ends = account.now + DAY
        assert (await update(subscription.id, {"cancel_at": ends})).cancel_at == ends
        assert plain(await update(subscription.id, {"cancel_at": ""})) == before
        paused = await update(subscription.id, {"pause_collection": {"behavior": "void"}})
        assert paused.pause_collection is not None and paused.pause_collection.behavior == "void"
        assert plain(await update(subscription.id, {"pause_collection": ""})) == before


async def test_an_update_that_is_refused_changes_nothing() -> None:
    account, subscription = subscribed()
    before, since = render(subscription, NEW), len(account.events)
    wrong: list[tuple[Any, str]] = [
        ({"items": [{"id": subscription.items[0].id, "quantity": 9, "price": "price_x"}]}, "No such price"),
        ({"items": [{"id": "si_x"}]}, "No such subscription item"),
        ({"items": [{"quantity": 3}]}, "Missing required param"),
        ({"items": [{"price": "price_team"}]}, "same plan"),
        ({"items": [{"id": item.id, "deleted": True} for item in subscription.items]}, "at least one"),
        ({"items": [{"id": subscription.items[0].id, "quantity": -1}]}, "greater than or equal"),
        ({"cancel_at_period_end": "maybe"}, "Invalid boolean"),
        ({"cancel_at": "soon"}, "Invalid integer"),
        ({"proration_behavior": "sometimes"}, "Invalid proration_behavior"),
        ({"quantity": 3}, "unknown parameter: quantity"),
    ]
    async with connected(account) as client:
        for params, message in wrong:
            with pytest.raises(stripe.InvalidRequestError, match=message):
                await client.v1.subscriptions.update_async(subscription.id, params)
    assert render(subscription, NEW) == before and len(account.events) == since


async def test_a_subscription_is_canceled_once() -> None:
    account, subscription = subscribed()
    since = len(account.events)
    async with connected(account) as client:
        canceled = await client.v1.subscriptions.cancel_async(subscription.id, {"prorate": False})
        assert canceled.status == "canceled" and canceled.ended_at == account.now
        with pytest.raises(stripe.InvalidRequestError, match="No such subscription") as again:
            await client.v1.subscriptions.cancel_async(subscription.id)
        assert again.value.http_status == 404
        with pytest.raises(stripe.InvalidRequestError, match="A canceled subscription can only update"):
            await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    assert new_types(account, since) == ["customer.subscription.deleted"]


async def test_a_subscription_is_created_with_a_quantity_for_each_item_and_its_first_payment() -> None:
    account = Account(1)
    customer = account.create_customer()
    async with connected(account) as client:
        made = await client.v1.subscriptions.create_async(
            {
                "customer": customer.id,
                "items": [{"price": "price_team", "quantity": 3}, {"price": "price_more_projects"}],
                "metadata": {"paid": "by card"},
            }
        )
        trial = await client.v1.subscriptions.create_async(
            {"customer": customer.id, "items": [{"price": "price_team"}], "trial_period_days": 14}
        )
    assert made.status == "active" and [item.quantity for item in made["items"].data] == [3, 1]
    assert made.metadata.to_dict() == {"paid": "by card"}
    assert trial.status == "trialing" and trial.trial_end == account.now + 14 * DAY
    assert truth(account)["subscriptions"][made.id]["paid_through"] == account.now + 30 * DAY


async def test_the_same_key_and_parameters_are_done_once_and_answered_alike() -> None:
    account = Account(1)
    async with connected(account) as client:
        options: stripe.RequestOptions = {"idempotency_key": "sign-up-1"}
        made = await client.v1.customers.create_async({"email": "ada@example.com"}, options)
        account.update_customer(account.customers[made.id], email="b@example.com")
        again = await client.v1.customers.create_async({"email": "ada@example.com"}, options)
        assert again.to_dict() == made.to_dict() and len(account.customers) == 1
        assert made.last_response is not None and again.last_response is not None
        assert again.last_response.headers["Idempotent-Replayed"] == "true"
        assert again.last_response.headers["Original-Request"] == made.last_response.request_id
        assert "Idempotent-Replayed" not in made.last_response.headers
        other = await client.v1.customers.create_async({"email": "ada@example.com"})
        assert other.id != made.id


async def test_the_same_key_with_other_parameters_or_another_route_is_an_idempotency_error() -> None:
    account = Account(1)
    customer = account.create_customer()
    async with connected(account) as client:
        options: stripe.RequestOptions = {"idempotency_key": "one"}
        await client.v1.customers.create_async({"email": "ada@example.com"}, options)
        with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used") as refused:
            await client.v1.customers.create_async({"email": "b@example.com"}, options)
        assert refused.value.http_status == 400 and "a key other than 'one'" in str(refused.value)
        with pytest.raises(stripe.IdempotencyError, match="same endpoint they were first used"):
            await client.v1.customers.update_async(customer.id, {"email": "ada@example.com"}, options)
        assert len(account.customers) == 2


async def test_a_key_is_free_again_after_a_day_or_where_the_request_was_refused() -> None:
    account = Account(1)
    async with connected(account) as client:
        options: stripe.RequestOptions = {"idempotency_key": "one"}
        misspelt: Any = {"mail": "ada@example.com"}
        with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
            await client.v1.customers.create_async(misspelt, options)
        first = await client.v1.customers.create_async({"email": "ada@example.com"}, options)
        account.advance(DAY - 1)
        assert (await client.v1.customers.create_async({"email": "ada@example.com"}, options)).id == first.id
        account.advance(1)
        second = await client.v1.customers.create_async({"email": "b@example.com"}, options)
        assert second.id != first.id


async def test_a_webhook_endpoint_shows_its_secret_once() -> None:
    account = Account(1)
    async with connected(account) as client:
        endpoints = client.v1.webhook_endpoints
        made = await endpoints.create_async(
            {
                "url": "https://app.example/webhook/stripe",
                "enabled_events": ["customer.created", "invoice.paid"],
                "api_version": "2024-06-20",
                "metadata": {"made_by": "set-up"},
            }
        )
        secret = made.secret or ""
        assert secret.startswith("whsec_test_") and account.endpoints[made.id].secret == secret
        found = await endpoints.retrieve_async(made.id)
        assert "secret" not in found and found.api_version == "2024-06-20" and found.status == "enabled"
        assert found.enabled_events == ["customer.created", "invoice.paid"]
        assert ids(await endpoints.list_async()) == [made.id]
        changed = await endpoints.update_async(made.id, {"enabled_events": ["*"], "disabled": True})
        assert (changed.status, changed.enabled_events) == ("disabled", ["*"])
        assert changed.metadata.to_dict() == {"made_by": "set-up"}
        assert (await endpoints.update_async(made.id, {"disabled": False})).status == "enabled"
        assert (await endpoints.delete_async(made.id)).deleted is True
        assert ids(await endpoints.list_async()) == []
        with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint"):
            await endpoints.retrieve_async(made.id)
    assert account.events == []


async def test_what_stripe_refuses_of_a_webhook_endpoint_is_refused() -> None:
    account = Account(1)
    async with connected(account) as client:
        wrong: list[tuple[Any, str]] = [
            ({"enabled_events": ["*"]}, "Missing required param: url"),
            ({"url": "https://app.example"}, "Missing required param: enabled_events"),
            ({"url": "app.example/hook", "enabled_events": ["*"]}, "Not a valid URL"),
            ({"url": "https://app.example", "enabled_events": ["*"], "api_version": "new"}, "API version"),
        ]
        for params, message in wrong:
            with pytest.raises(stripe.InvalidRequestError, match=message):
                await client.v1.webhook_endpoints.create_async(params)
        for number in range(16):
            await client.v1.webhook_endpoints.create_async(
                {"url": f"https://{number}.example", "enabled_events": ["*"]}
            )
        with pytest.raises(stripe.InvalidRequestError, match="maximum of 16"):
            await client.v1.webhook_endpoints.create_async(
                {"url": "https://one-more.example", "enabled_events": ["*"]}
            )


async def test_the_portal_leads_back_to_where_one_came_from() -> None:
    account, subscription = subscribed()
    async with browsing(account) as browser:
        form = {"customer": subscription.customer, "return_url": 'https://app.example/?a=1&b="2"'}
        session = (await browser.post("/v1/billing_portal/sessions", data=form)).json()
        assert session["return_url"] == form["return_url"]
        page = await browser.get(session["url"], headers={"Authorization": ""})
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert (
            'href="https://app.example/?a=1&amp;b=&quot;2&quot;"' in page.text and "price_team" in page.text
        )
        assert (await browser.get("/p/session/bps_x")).status_code == 404
    async with serving(account) as url, client_of(url) as client:
        with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_x'") as refused:
            await client.v1.billing_portal.sessions.create_async({"customer": "cus_x"})
        assert (refused.value.http_status, refused.value.param) == (400, "customer")
