"""Every page of the screen, on both databases."""

import html
import re

import pytest

from app.db.models import OutboxEntry
from app.simulator import DAY, Account
from tests.client import AUTH

from .visitor import START, Clock, logged_in, words

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def account() -> Account:
    return Account(seed=7, start=START - 40 * DAY)


async def test_every_page_opens_on_an_empty_database(database_url: str) -> None:
    async with logged_in(database_url) as (_, visitor):
        for path in ("/", "/subscriptions", "/customers", "/invoices", "/events", "/outbox", "/audit"):
            assert "<h1>" in await visitor.open(path), path


async def test_a_failed_renewal_can_be_read_on_the_users_page(database_url: str, account: Account) -> None:
    customer = account.create_customer("ada@example.com", user_id="user_ada")
    subscription = account.create_subscription(customer, "price_team", quantity=3)
    account.advance(30 * DAY)
    account.renew(subscription, paid=False)
    async with logged_in(database_url, Clock()) as (client, visitor):
        await client.deliver(*account.events)
        for text in (
            "ada@example.com",
            customer.id,
            subscription.id,
            "user_ada",
            subscription.latest_invoice or "",
        ):
            page = words(await visitor.open(f"/search?q={text}"))
            assert "User user_ada" in page, text
        assert "The grace is over, and a payment is due" in page
        assert "invoice.payment_failed" in page
        assert "status was active is past_due" in page


async def test_the_checkout_that_linked_a_user_is_part_of_the_story(
    database_url: str, account: Account
) -> None:
    customer = account.create_customer("eve@example.com")
    subscription = account.create_subscription(customer, "price_team", paid=None)
    account.complete_sign_up(subscription)
    account.complete_checkout(subscription, client_reference_id="user_eve")
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        page = words(await visitor.open("/user?id=user_eve"))
        assert "checkout.session.completed" in page
        assert "linked by checkout" in page


async def test_reactions_overrides_internal_updates_and_audit_stand_in_one_timeline(
    database_url: str, account: Account
) -> None:
    customer = account.create_customer("ada@example.com", user_id="user_ada")
    subscription = account.create_subscription(customer, "price_starter")
    update = {
        "customer_id": customer.id,
        "subscription_id": subscription.id,
        "plan_id": "price_team",
        "status": "active",
        "start_date": START,
        "expiry_date": START + 30 * DAY,
    }
    reaction = OutboxEntry(
        id="out_1",
        signal="payment_failed",
        receiver="mail",
        customer_id=customer.id,
        reaction={"to": "ada"},
        created_at=START - DAY,
    )
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        await client.http.post("/internal/subscription/update", json=update, headers=AUTH)
        async with client.app.state.billing.database.session() as session:
            session.add(reaction)
        await visitor.act("override", user="user_ada", feature="sso", op="set", value="true", reason="Trial")
        page = words(await visitor.open("/user?id=user_ada"))
        for entry in (
            "internal update The internal API updated the subscription",
            "reaction Announced: payment failed",
            "override Override of SSO: set True",
            "audit override.set",
            "event The subscription to price_starter began",
        ):
            assert entry in page, entry
        assert "plan_id is price_team" in page


@pytest.mark.long
async def test_a_long_story_is_paged_to_its_end_without_a_gap(database_url: str, account: Account) -> None:
    customer = account.create_customer("ada@example.com", user_id="user_ada")
    subscription = account.create_subscription(customer, "price_team")
    for quantity in range(2, 62):
        account.advance(0 if quantity % 3 else 60)  # some in the same second
        account.change_quantity(subscription, quantity)
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        path, seen = "/user?id=user_ada", []
        for _ in range(10):
            page = await visitor.open(path)
            seen += re.findall(r'href="/admin/event\?id=(evt_\w+)"', page)
            following = re.search(r'rel="next" href="/admin([^"]+)"', page)
            if following is None:
                break
            path = html.unescape(following[1])
        assert sorted(seen) == sorted(event.id for event in account.events)
