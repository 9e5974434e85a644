"""Changes that hold at once: charged now, refused cards, add-ons, intervals, and what they would cost."""

from typing import Any

import pytest

from app.simulator import DAY, Account, Subscription
from app.simulator.cards import CARDS, render_card
from app.simulator.model import Record

from ..shop import Shop, shop
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long


def give_card(account: Account, subscription: Subscription, name: str) -> None:
    """The customer's default payment method is this test card ("Testing")."""
    card = Record(f"pm_{name}", account.now, "payment_method", {"card": render_card(CARDS[name])})
    account.add_record(card)
    account.customers[subscription.customer].default_payment_method = card.id
    subscription.default_payment_method = None


async def preview(here: Shop, subscription: Subscription, **wanted: Any) -> Any:
    return await here.done(path(subscription, "change/preview"), wanted)


async def test_an_upgrade_is_charged_now_with_the_amount_that_its_preview_showed(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(pause=10 * DAY)
        shown = await preview(here, subscription, quantity=3)
        assert (shown["direction"], shown["when"], shown["at"]) == ("upgrade", "now", here.account.now)
        assert (shown["plan"], shown["quantity"], shown["currency"]) == ("team", 3, "usd")
        assert shown["charged_at"] == here.account.now and shown["over"] == {}
        assert [(line["amount"], line["proration"]) for line in shown["lines"]] == [
            (-1933, True),
            (5800, True),
        ]
        assert subscription.items[0].quantity == 1 and await here.audited(subscription.id) == []
        here.account.advance(3600)  # the user reads, and then decides
        wanted = {"quantity": 3, "proration_date": shown["proration_date"]}
        changed = await here.done(path(subscription, "change"), wanted)
        assert (changed["outcome"], changed["direction"], changed["quantity"]) == ("changed", "upgrade", 3)
        invoice = here.account.invoices[subscription.latest_invoice or ""]
        assert (invoice.status, invoice.amount_due) == ("paid", shown["amount_due"])


async def test_a_refused_card_keeps_the_old_plan_and_the_answer_says_where_to_pay(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(price_id="price_starter", pause=10 * DAY)
        give_card(here.account, subscription, "chargeCustomerFail")
        refused = await here.post(path(subscription, "change"), {"plan": "team"})
        assert refused.status_code == 402, refused.text
        problem = refused.json()
        invoice = here.account.invoices[subscription.latest_invoice or ""]
        assert problem["invoice_id"] == invoice.id and problem["pay_url"].startswith("https://")
        assert problem["expires_at"] > here.account.now
        await here.hear()
        assert await here.plan_of() == "starter"
        row = await stored(here, subscription)
        assert (row["plan_id"], row["status"], row["access"]) == ("price_starter", "active", "full")
        [entry] = await here.audited(subscription.id)
        assert entry.after is not None and entry.after["waits_for_payment"] == [["price_team", 1]]
        give_card(here.account, subscription, "visa")
        here.account.pay_invoice(invoice)
        await here.hear()
        assert await here.plan_of() == "team"


async def test_a_change_that_takes_an_item_away_is_refused_as_a_whole(sqlite_database: str) -> None:
    """Stripe lets no deletion of an item wait for a payment."""
    async with shop(sqlite_database) as here:
        subscription = await here.bought(price_id="price_starter", pause=10 * DAY)
        await here.done(path(subscription, "change"), {"addons": {"more_projects": 2}})
        give_card(here.account, subscription, "chargeCustomerFail")
        here.account.advance(60)
        refused = await here.post(
            path(subscription, "change"), {"plan": "team", "addons": {"more_projects": 0}, "confirm": True}
        )
        assert refused.status_code == 402 and "declined" in refused.json()["detail"]
        assert [item.price.id for item in subscription.items] == ["price_starter", "price_more_projects"]


async def test_add_ons_are_added_changed_and_taken_away_beside_the_plan(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()

        async def limit(addons: dict[str, int], **more: Any) -> int:
            here.account.advance(60)
            changed = await here.done(path(subscription, "change"), {"addons": addons} | more)
            quantities = {item["price_id"]: item["quantity"] for item in changed["items"]}
            assert quantities.get("price_more_projects", 0) == addons["more_projects"]
            assert quantities["price_team"] == 1
            entitlements = await here.client.read("/internal/users/user_ada/entitlements")
            found: int = entitlements["features"]["projects"]["limit"]
            return found

        assert await limit({"more_projects": 1}) == 60
        assert await limit({"more_projects": 3}) == 160
        assert await limit({"more_projects": 0}, when="now") == 10
        for addons, status in (({"gold": 1}, 404), ({"more_projects": -1}, 422), ({}, 422)):
            refused = await here.post(path(subscription, "change"), {"addons": addons})
            assert refused.status_code == status, refused.text


async def test_an_add_on_that_is_taken_away_may_leave_too_little(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"addons": {"more_projects": 1}})
        await here.done("users/user_ada/usage/projects", {"op": "set", "amount": 40})
        for when in ("now", "period_end"):
            wanted = {"addons": {"more_projects": 0}, "when": when}
            shown = await preview(here, subscription, **wanted)
            over = {"limit_now": 60, "limit_then": 10, "used": 40, "over": 30}
            assert shown["over"] == {"projects": over} and shown["direction"] == "downgrade"
            refused = await here.post(path(subscription, "change"), wanted)
            assert refused.status_code == 409 and refused.json()["over"] == {"projects": over}


async def test_another_interval_takes_the_plans_price_for_it_and_charges_a_whole_period(
    database_url: str,
) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(pause=10 * DAY)
        shown = await preview(here, subscription, interval="year")
        assert (shown["direction"], shown["charged_at"]) == ("upgrade", here.account.now)
        changed = await here.done(path(subscription, "change"), {"interval": "year"})
        assert changed["plan_id"] == "price_team_yearly"
        invoice = here.account.invoices[subscription.latest_invoice or ""]
        assert invoice.amount_due == shown["amount_due"] == 29_000 - 1933
        assert subscription.period_end == here.account.now + 365 * DAY


async def test_add_ons_follow_the_interval_of_the_plan_or_the_change_is_refused(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"addons": {"more_projects": 1}})
        refused = await here.post(path(subscription, "change"), {"interval": "year"})
        assert refused.status_code == 409 and "more_projects" in refused.json()["detail"]
        assert [each["price_id"] for each in refused.json()["choices"]] == ["price_more_projects"]
        for interval in ("decade", "0 months", "month; drop", ""):
            wrong = await here.post(path(subscription, "change"), {"interval": interval})
            assert wrong.status_code == 422, interval


async def test_a_downgrade_at_once_is_credited_with_the_next_invoice(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(quantity=3, pause=10 * DAY)
        shown = await preview(here, subscription, quantity=1, when="now")
        assert (shown["direction"], shown["at"]) == ("downgrade", here.account.now)
        assert shown["charged_at"] == subscription.period_end and shown["total"] == 2900 - 3867
        assert shown["amount_due"] == 0, "the rest of the credit stays"
        latest = subscription.latest_invoice
        changed = await here.done(path(subscription, "change"), {"quantity": 1, "when": "now"})
        assert changed["quantity"] == 1 and subscription.latest_invoice == latest


async def test_what_it_is_already_is_no_change(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        for wanted in ({"plan": "team"}, {"quantity": 2}, {"interval": "month"}, {"price_id": "price_team"}):
            changed = await here.done(path(subscription, "change"), wanted)
            assert (changed["outcome"], changed["direction"]) == ("unchanged", "none"), wanted
        assert await here.audited(subscription.id) == []
        shown = await preview(here, subscription, quantity=2)
        assert (shown["amount_due"], shown["charged_at"]) == (5800, subscription.period_end)


async def test_an_invoice_that_is_sent_by_mail_lets_no_change_wait_for_its_payment(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(pause=10 * DAY)
        subscription.details["collection_method"] = "send_invoice"
        changed = await here.done(path(subscription, "change"), {"quantity": 4})
        assert changed["quantity"] == 4


async def test_a_preview_refuses_what_the_change_refuses(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        for body, status in (
            ({}, 422),
            ({"plan": "gold"}, 404),
            ({"plan": "free"}, 422),
            ({"price_id": "price_more_projects"}, 422),
            ({"quantity": 0}, 422),
            ({"quantity": 2, "confirm": True}, 422),
        ):
            refused = await here.post(path(subscription, "change/preview"), body)
            assert refused.status_code == status, body
        assert (
            await here.post("subscriptions/sub_unknown/change/preview", {"quantity": 2})
        ).status_code == 404
