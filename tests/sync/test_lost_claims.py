"""What only a checkout session says of the user, once a lost record is repaired or a new one imported."""

from typing import Any

import pytest
from sqlalchemy import text

from app.errors import StripeRefused
from app.simulator import Account
from app.simulator.api import complete_checkout
from app.stripe.client import Answer, StripeApi
from tests.client import AUTH

from .conftest import Beside, Start
from .test_catch_up import NOW

BY_METADATA = {"metadata": {"user_id": "ada"}}
BY_REFERENCE = {"client_reference_id": "ada"}


def bought(account: Account, claim: Any) -> str:
    """A subscription that nothing but its session says to be Ada's."""
    session = account.open_checkout([("price_team", 1)], **claim)
    account.advance(60)
    return complete_checkout(account, session.id).id


async def delete(both: Beside, *tables: str) -> None:
    async with both.service.database.session() as session:
        for table in tables:
            await (await session.connection()).execute(text(f"DELETE FROM {table}"))


async def repair(both: Beside, account: Account) -> None:
    account.advance(600)
    assert both.service.reconcile is not None
    report = await both.service.reconcile.run(repair=True)
    assert report is not None and report.not_repaired == []


async def user_of(both: Beside, subscription_id: str) -> str | None:
    user_id: str | None = (await both.client.read(f"/internal/subscriptions/{subscription_id}"))["user_id"]
    return user_id


@pytest.mark.parametrize("claim", [BY_METADATA, BY_REFERENCE], ids=["metadata", "client_reference_id"])
@pytest.mark.parametrize(
    "lost",
    [("billing_subscription",), ("billing_customer",), ("billing_subscription", "billing_customer")],
    ids=["subscription", "customer", "both"],
)
@pytest.mark.rest_in_long(2)
async def test_a_record_that_was_deleted_by_hand_is_claimed_again_when_it_is_repaired(
    any_database_url: str, beside: Start, claim: Any, lost: tuple[str, ...]
) -> None:
    account = Account(1, start=NOW)
    subscription_id = bought(account, claim)
    async with beside(any_database_url, account) as both:
        await both.client.deliver(*account.events)
        assert await user_of(both, subscription_id) == "ada"
        for _ in range(2):
            await delete(both, *lost)
            await repair(both, account)
            assert await user_of(both, subscription_id) == "ada"


async def test_an_import_knows_what_the_sessions_say(any_database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    one, two = bought(account, BY_METADATA), bought(account, BY_REFERENCE)
    account.create_subscription(account.create_customer(), "price_team")
    async with beside(any_database_url, account) as both:
        await repair(both, account)
        assert [await user_of(both, each) for each in (one, two)] == ["ada", "ada"]


async def test_an_older_session_undoes_nothing_that_the_record_says(
    any_database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription_id = bought(account, BY_METADATA)
    subscription = account.subscriptions[subscription_id]
    account.advance(60)
    account.set_metadata(subscription, user_id="bob")
    async with beside(any_database_url, account) as both:
        await repair(both, account)
        assert await user_of(both, subscription_id) == "bob"


async def test_a_key_that_may_not_read_sessions_imports_the_rest(
    any_database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StripeApi.get

    async def get(api: StripeApi, path: str, **params: object) -> Answer:
        if path == "/v1/checkout/sessions":
            raise StripeRefused("The key may not do this.")
        return await real(api, path, **params)

    monkeypatch.setattr(StripeApi, "get", get)
    account = Account(1, start=NOW)
    subscription_id = bought(account, BY_METADATA)
    async with beside(any_database_url, account) as both:
        await repair(both, account)
        assert await user_of(both, subscription_id) is None


@pytest.mark.parametrize("claim", [BY_METADATA, BY_REFERENCE], ids=["metadata", "client_reference_id"])
@pytest.mark.parametrize("first", ["customer.subscription.updated", "invoice.paid", "customer.updated"])
@pytest.mark.rest_in_long(2)
async def test_an_import_knows_what_the_session_says_of_what_an_event_brought_before_it(
    any_database_url: str, beside: Start, claim: Any, first: str
) -> None:
    account = Account(1, start=NOW)
    subscription = account.subscriptions[bought(account, claim)]
    account.advance(3600)
    known = len(account.events)
    account.renew(subscription)
    account.announce("customer.updated", account.customers[subscription.customer])
    [event] = [each for each in account.events[known:] if each.type == first]
    async with beside(any_database_url, account) as both:
        await both.client.deliver(event)
        await repair(both, account)
        assert await user_of(both, subscription.id) == "ada"
        account.advance(600)
        assert both.service.reconcile is not None
        again = await both.service.reconcile.run(repair=False)
        assert again is not None and again.differences == []


@pytest.mark.parametrize("claim", [BY_METADATA, BY_REFERENCE], ids=["metadata", "client_reference_id"])
async def test_a_renewal_that_comes_before_the_import_is_claimed_when_it_is_read(
    any_database_url: str, beside: Start, claim: Any
) -> None:
    account = Account(1, start=NOW)
    subscription = account.subscriptions[bought(account, claim)]
    account.advance(3600)
    account.renew(subscription)
    async with beside(any_database_url, account) as both:
        await both.client.deliver(account.events[-1])
        account.advance(10)
        assert await both.refresh() == 2
        assert await user_of(both, subscription.id) == "ada"


async def test_whom_nobody_claims_by_an_internal_link_stays_nobodys(
    any_database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription = account.subscriptions[bought(account, BY_REFERENCE)]
    async with beside(any_database_url, account) as both:
        await both.client.deliver(*account.events)
        link = f"/internal/customers/{subscription.customer}"
        answer = await both.client.http.put(link, json={"user_id": None}, headers=AUTH)
        assert answer.status_code == 200, answer.text
        account.advance(600)
        assert both.service.reconcile is not None
        report = await both.service.reconcile.run(repair=True)
        assert report is not None and report.differences == []
        assert await user_of(both, subscription.id) is None
