"""What a team needs to sell: prorations, refused cards, discounts, schedules, previews."""

from typing import Any

import pytest
import stripe

from app.simulator import DAY, Account, Subscription, truth
from app.simulator.api import complete_checkout

from .client import connected, plain
from .declared import declared

MONTH = 30 * DAY
CHECKOUT: Any = {
    "mode": "subscription",
    "line_items": [{"price": "price_team", "quantity": 1}],
    "success_url": "https://app.example/welcome",
}


def subscribed(quantity: int = 1) -> tuple[Account, Subscription]:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer(), "price_team", quantity=quantity)
    account.advance(MONTH // 3)
    return account, subscription


async def give_card(client: stripe.StripeClient, customer: str, token: str) -> str:
    """Make this test card the customer's default."""
    card = await client.v1.payment_methods.attach_async(token, {"customer": customer})
    settings: Any = {"invoice_settings": {"default_payment_method": card.id}}
    await client.v1.customers.update_async(customer, settings)
    return card.id


async def test_a_change_that_is_invoiced_at_once_costs_what_its_preview_says() -> None:
    account, subscription = subscribed()
    item = subscription.items[0]
    change: Any = {"items": [{"id": item.id, "price": "price_team", "quantity": 3}]}
    change["proration_behavior"] = "always_invoice"
    async with connected(account) as client:
        before = len(account.events)
        preview = plain(
            await client.v1.invoices.create_preview_async(
                {"subscription": subscription.id, "subscription_details": change}
            )
        )
        assert len(account.events) == before and preview["id"].startswith("upcoming_in_")
        await client.v1.subscriptions.update_async(subscription.id, change)
        invoice = account.invoices[subscription.latest_invoice or ""]
        assert [line["amount"] for line in preview["lines"]["data"]] == [
            line.amount for line in invoice.lines
        ]
        assert preview["amount_due"] == invoice.amount_due == 2 * 2900 * 2 // 3 + 1
        assert invoice.status == "paid" and all(line.proration for line in invoice.lines)
        assert truth(account)["subscriptions"][subscription.id]["paid_through"] == subscription.period_end


async def test_prorations_wait_for_the_next_invoice_and_are_taken_once() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        item: Any = {"id": subscription.items[0].id, "quantity": 2}
        await client.v1.subscriptions.update_async(subscription.id, {"items": [item]})
        waiting = await client.v1.invoice_items.list_async({"customer": subscription.customer})
        assert [one.proration for one in waiting.data] == [True, True]
    account.advance(2 * MONTH // 3)
    first, second = account.renew(subscription), account.renew(subscription)
    assert first.amount_due == 2 * 2900 - round(2900 * 2 / 3) + round(2 * 2900 * 2 / 3)
    assert second.amount_due == 2 * 2900


async def test_a_change_of_the_interval_begins_a_period_that_is_charged_whole() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        item: Any = {"id": subscription.items[0].id, "price": "price_team_yearly"}
        await client.v1.subscriptions.update_async(subscription.id, {"items": [item]})
    invoice = account.invoices[subscription.latest_invoice or ""]
    assert (subscription.period_start, subscription.period_end) == (account.now, account.now + 365 * DAY)
    assert invoice.amount_due == 29_000 - round(2900 * 2 / 3)


async def test_a_refused_card_does_not_get_the_change_that_waits_for_its_payment() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        await give_card(client, subscription.customer, "pm_card_chargeCustomerFail")
        subscription.default_payment_method = None
        change: Any = {
            "items": [{"id": subscription.items[0].id, "quantity": 5}],
            "proration_behavior": "always_invoice",
        }
        with pytest.raises(stripe.CardError) as refused:
            await client.v1.subscriptions.update_async(
                subscription.id, change | {"payment_behavior": "error_if_incomplete"}
            )
        assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
        waiting = plain(
            await client.v1.subscriptions.update_async(
                subscription.id, change | {"payment_behavior": "pending_if_incomplete"}
            )
        )
        assert waiting["status"] == "active" and waiting["items"]["data"][0]["quantity"] == 1
        assert waiting["pending_update"]["subscription_items"][0]["quantity"] == 5
        with pytest.raises(stripe.CardError):
            await client.v1.invoices.pay_async(waiting["latest_invoice"])
        await give_card(client, subscription.customer, "pm_card_visa")
        await client.v1.invoices.pay_async(waiting["latest_invoice"])
    assert subscription.items[0].quantity == 5 and subscription.pending_update is None
    assert account.events[-1].type == "customer.subscription.pending_update_applied"


async def test_a_refused_card_leaves_a_change_past_due_and_a_sign_up_incomplete() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        await give_card(client, subscription.customer, "pm_card_chargeCustomerFail")
        subscription.default_payment_method = None
        item: Any = {"id": subscription.items[0].id, "quantity": 2}
        changed = await client.v1.subscriptions.update_async(
            subscription.id, {"items": [item], "proration_behavior": "always_invoice"}
        )
        assert changed.status == "past_due" and changed["items"].data[0].quantity == 2
        new: Any = {"customer": subscription.customer, "items": [{"price": "price_starter"}]}
        made = await client.v1.subscriptions.create_async(new)
        assert made.status == "incomplete"
        with pytest.raises(stripe.CardError):
            await client.v1.subscriptions.create_async(new | {"payment_behavior": "error_if_incomplete"})
        with pytest.raises(stripe.CardError, match="insufficient funds"):
            await client.v1.payment_methods.attach_async(
                "pm_card_chargeDeclinedInsufficientFunds", {"customer": subscription.customer}
            )


async def test_a_coupon_takes_off_what_it_says_for_as_long_as_it_says() -> None:
    account = Account(1)
    customer = account.create_customer()
    async with connected(account) as client:
        await client.v1.coupons.create_async({"id": "half", "percent_off": 50, "duration": "once"})
        made = await client.v1.subscriptions.create_async(
            {
                "customer": customer.id,
                "items": [{"price": "price_team"}],
                "discounts": [{"coupon": "half"}],
                "expand": ["discounts", "latest_invoice"],
            }
        )
        content = plain(made)
        assert content["discounts"][0].keys() == declared("discount")
        assert content["latest_invoice"]["total"] == content["latest_invoice"]["amount_paid"] == 1450
        assert content["latest_invoice"]["subtotal"] == 2900
        assert (await client.v1.coupons.retrieve_async("half")).times_redeemed == 1
    account.advance(MONTH)
    assert account.renew(account.subscriptions[made.id]).amount_due == 2900


async def test_a_buyer_enters_a_promotion_code_where_the_session_allows_it() -> None:
    account = Account(1)
    async with connected(account) as client:
        await client.v1.coupons.create_async({"id": "less", "amount_off": 900, "currency": "usd"})
        promotion: Any = {
            "promotion": {"type": "coupon", "coupon": "less"},
            "code": "LESS",
            "max_redemptions": 1,
        }
        code = await client.v1.promotion_codes.create_async(promotion)
        session = await client.v1.checkout.sessions.create_async(CHECKOUT | {"allow_promotion_codes": True})
        with pytest.raises(ValueError, match="not valid"):
            complete_checkout(account, session.id, promotion_code="MORE")
        subscription = complete_checkout(account, session.id, promotion_code="less")
        assert account.invoices[subscription.latest_invoice or ""].amount_paid == 2000
        shown = plain(await client.v1.checkout.sessions.retrieve_async(session.id))
        assert (shown["amount_subtotal"], shown["amount_total"]) == (2900, 2000)
        assert (await client.v1.promotion_codes.retrieve_async(code.id)).times_redeemed == 1
        with pytest.raises(stripe.InvalidRequestError, match="used up"):
            await client.v1.checkout.sessions.create_async(
                CHECKOUT | {"discounts": [{"promotion_code": code.id}]}
            )


async def test_an_embedded_session_has_a_client_secret_and_a_return_address() -> None:
    account = Account(1)
    embedded: Any = {name: value for name, value in CHECKOUT.items() if name != "success_url"}
    embedded |= {"ui_mode": "embedded_page", "return_url": "https://app.example/back"}
    async with connected(account) as client:
        session = plain(await client.v1.checkout.sessions.create_async(embedded))
        assert (session["url"], session["success_url"]) == (None, None)
        assert session["client_secret"] and session["return_url"] == "https://app.example/back"
        with pytest.raises(ValueError, match="declined"):
            complete_checkout(account, session["id"], payment_method="pm_card_chargeDeclined")
        assert complete_checkout(account, session["id"]).status == "active"


async def test_a_scheduled_change_holds_from_the_renewal_on_and_can_be_taken_back() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        schedules = client.v1.subscription_schedules
        for taken_back in (True, False):
            made = plain(await schedules.create_async({"from_subscription": subscription.id}))
            assert made.keys() == declared("subscription_schedule")
            assert subscription.schedule == made["id"]
            current = made["phases"][0]
            phases: Any = [
                {
                    "items": [{"price": "price_team", "quantity": 1}],
                    "start_date": current["start_date"],
                    "end_date": current["end_date"],
                },
                {"items": [{"price": "price_starter", "quantity": 1}], "duration": {"interval": "month"}},
            ]
            await schedules.update_async(made["id"], {"phases": phases})
            with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
                await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
            if taken_back:
                released = await schedules.release_async(made["id"])
                assert released.status == "released" and subscription.schedule is None
    assert subscription.items[0].price.id == "price_team"
    account.advance(subscription.period_end - account.now)
    account.renew(subscription)
    assert subscription.items[0].price.id == "price_starter"
    assert account.invoices[subscription.latest_invoice or ""].amount_due == 900
    account.advance(MONTH)
    account.renew(subscription)
    assert subscription.schedule is None and subscription.items[0].price.id == "price_starter"


async def test_a_test_clock_moves_the_account_and_what_is_due_in_it() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        made = plain(
            await client.v1.subscription_schedules.create_async({"from_subscription": subscription.id})
        )
        clocks, end = client.v1.test_helpers.test_clocks, made["phases"][0]["end_date"]
        clock = await clocks.create_async({"frozen_time": account.now})
        for wanted in (account.now - 1, 10**17):
            with pytest.raises(stripe.InvalidRequestError, match="advanced"):
                await clocks.advance_async(clock.id, {"frozen_time": wanted})
        assert subscription.schedule == made["id"]
        await clocks.advance_async(clock.id, {"frozen_time": end + 1})
    assert (account.now, subscription.schedule) == (end + 1, None)


async def test_a_portal_session_may_be_for_one_task_of_the_customers_own_subscription() -> None:
    account, subscription = subscribed()
    other = account.create_customer()
    flow: Any = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}
    async with connected(account) as client:
        portal = client.v1.billing_portal
        made = plain(
            await portal.sessions.create_async({"customer": subscription.customer, "flow_data": flow})
        )
        assert made["flow"]["subscription_cancel"]["subscription"] == subscription.id
        with pytest.raises(stripe.InvalidRequestError, match="not the customer's"):
            await portal.sessions.create_async({"customer": other.id, "flow_data": flow})
        features: Any = {"features": {"subscription_cancel": {"enabled": True}}}
        configuration = plain(await portal.configurations.create_async(features))
        assert configuration.keys() == declared("billing_portal.configuration")
        assert configuration["features"]["subscription_cancel"]["mode"] == "at_period_end"


async def test_a_detached_card_is_nobodys_default() -> None:
    account, subscription = subscribed()
    async with connected(account) as client:
        card = await give_card(client, subscription.customer, "pm_card_visa")
        await client.v1.subscriptions.update_async(subscription.id, {"default_payment_method": card})
        assert (subscription.default_payment_method, card) == (card, subscription.default_payment_method)
        await client.v1.payment_methods.detach_async(card)
        found = await client.v1.customers.retrieve_async(subscription.customer)
        assert subscription.default_payment_method is None
        assert found.invoice_settings is not None and found.invoice_settings.default_payment_method is None
