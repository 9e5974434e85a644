"""A first import of subscriptions that are past due: since when they are, as far as Stripe's API tells."""

from collections.abc import Callable
from typing import Any

import pytest

from app.db.models import Invoice, Subscription
from app.errors import StripeRefused
from app.simulator import DAY, Account, play
from app.stripe.client import Answer, StripeApi

from .conftest import Beside, Start
from .test_catch_up import NOW

pytestmark = pytest.mark.postgresql_in_long

Json = dict[str, Any]
Change = Callable[[str, Json], Json]
HOUR, READ_LATER = 3600, 3 * DAY


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Change what Stripe answers to a path; it shows no payments, and lists no charges."""
    real = StripeApi.get

    def change_answers(change: Change) -> None:
        async def get(api: StripeApi, path: str, **params: Any) -> Answer:
            if path == "/v1/charges":
                return Answer(change(path, {"data": []}), NOW)
            params.pop("expand", None)
            answer = await real(api, path, **params)
            return Answer(change(path, answer.content), answer.at)

        monkeypatch.setattr(StripeApi, "get", get)

    return change_answers


async def imported(both: Beside, account: Account, subscription_id: str) -> Subscription:
    account.advance(READ_LATER)
    assert both.service.reconcile is not None
    await both.service.reconcile.run(repair=True)
    async with both.service.database.reading() as session:
        row = await session.get(Subscription, subscription_id)
    assert row is not None and row.status == "past_due"
    return row


def past_due_account() -> tuple[Account, str]:
    account = Account(1, start=NOW)
    return account, play(account, "failed_payment", user_id="ada").id


async def test_the_newest_due_date_that_has_passed_counts(
    database_url: str, beside: Start, answers: Callable[[Change], None]
) -> None:
    account, subscription_id = past_due_account()
    due = account.now + DAY

    def net_30(path: str, content: Json) -> Json:
        if path != "/v1/invoices":
            return content
        [latest, *_] = content["data"]
        older = latest | {"id": "in_older", "created": latest["created"] - DAY, "due_date": due - 20 * DAY}
        later = latest | {"id": "in_later", "created": latest["created"] + HOUR, "due_date": due + 90 * DAY}
        return content | {"data": [later, latest | {"due_date": due}, older]}

    answers(net_30)
    async with beside(database_url, account) as both:
        assert (await imported(both, account, subscription_id)).past_due_since == due
        async with both.service.database.reading() as session:
            later = await session.get(Invoice, "in_later")
        assert later is not None and later.status == "open", "it can be paid from here"


@pytest.mark.parametrize("shown", ["with the invoice", "where they are asked for"])
async def test_else_the_oldest_failed_charge_of_the_latest_invoice(
    database_url: str, beside: Start, answers: Callable[[Change], None], shown: str
) -> None:
    account, subscription_id = past_due_account()
    failed = account.now + HOUR
    charges = [
        {"id": "ch_2", "object": "charge", "status": "failed", "created": failed + DAY},
        {"id": "ch_1", "object": "charge", "status": "failed", "created": failed},
        {"id": "ch_0", "object": "charge", "status": "succeeded", "created": failed - DAY},
    ]
    payments = {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}

    def charged(path: str, content: Json) -> Json:
        if path == "/v1/charges":
            return {"object": "list", "data": charges, "has_more": False}
        if path == "/v1/invoices":
            paid_by = {"payments": payments} if shown == "with the invoice" else {"payments": None}
            return content | {"data": [each | paid_by for each in content["data"]]}
        return content | {"payments": payments} if path.startswith("/v1/invoices/") else content

    answers(charged)
    async with beside(database_url, account) as both:
        assert (await imported(both, account, subscription_id)).past_due_since == failed


async def test_else_when_it_was_first_read_also_where_the_key_may_not_read_invoices(
    database_url: str, beside: Start, answers: Callable[[Change], None]
) -> None:
    account, subscription_id = past_due_account()

    def refused(path: str, content: Json) -> Json:
        if path == "/v1/invoices":
            raise StripeRefused("The key may not do this.")
        return content

    answers(refused)
    async with beside(database_url, account) as both:
        row = await imported(both, account, subscription_id)
        assert row.past_due_since is not None and account.now - 5 <= row.past_due_since <= account.now
