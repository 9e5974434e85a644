"""Every page of the screen, on both databases."""

import pytest

from app.simulator import DAY, Account

from .visitor import START, Clock, logged_in, words


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
