"""Refunds over the API: of invoices and of what was bought once, by charge and by payment intent."""

from typing import Any

import pytest
import stripe

from app.simulator import Account, Price
from app.simulator.api import complete_checkout
from app.simulator.model import CheckoutSession

from .client import connected, ids, plain
from .declared import declared


def bought(*, delayed: bool = False, customer: str | None = None) -> tuple[Account, CheckoutSession]:
    """An account in which somebody bought two things at 10.00 once."""
    account = Account(1)
    account.add_price(Price("price_top_up", 1000, recurring=False))
    session = account.open_once([("price_top_up", 2)], customer=customer)
    return account, account.pay_once(session, delayed=delayed)


def types_since(account: Account, before: int) -> list[str]:
    return [event.type for event in account.events[before:]]


async def test_what_was_bought_over_the_api_is_refunded_by_its_payment_intent() -> None:
    account = Account(1)
    account.add_price(Price("price_top_up", 1000, recurring=False))
    async with connected(account) as client:
        opened = await client.v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "line_items": [{"price": "price_top_up", "quantity": 2}],
                "success_url": "https://app.example/welcome",
            }
        )
        account.pay_once(account.sessions[opened.id])
        session = await client.v1.checkout.sessions.retrieve_async(
            opened.id, {"expand": ["payment_intent.latest_charge"]}
        )
        intent: Any = session.payment_intent
        assert (intent.amount, intent.status, intent.latest_charge.amount) == (2000, "succeeded", 2000)
        before = len(account.events)
        params: Any = {
            "payment_intent": intent.id,
            "amount": 500,
            "reason": "requested_by_customer",
            "metadata": {"ticket": "7"},
        }
        refund = await client.v1.refunds.create_async(params)
        assert plain(refund).keys() == declared("refund")
        assert (refund.amount, refund.reason, plain(refund)["metadata"]) == (
            500,
            "requested_by_customer",
            {"ticket": "7"},
        )
        assert (refund.charge, refund.payment_intent) == (intent.latest_charge.id, intent.id)
        assert types_since(account, before) == ["refund.created", "charge.refunded"]
        assert ids(await client.v1.refunds.list_async({"payment_intent": intent.id})) == [refund.id]
        assert (await client.v1.refunds.retrieve_async(refund.id)).amount == 500
        charge = await client.v1.charges.retrieve_async(intent.latest_charge.id)
        assert (charge.amount_refunded, charge.refunded) == (500, False)


@pytest.mark.parametrize("by", ["charge", "payment_intent"])
@pytest.mark.parametrize("kind", ["invoice", "session"])
async def test_a_refund_without_an_amount_is_of_what_is_left(kind: str, by: str) -> None:
    account, _ = bought()
    if kind == "invoice":
        account.sessions.clear()
        account.create_subscription(account.create_customer())
    async with connected(account) as client:
        (charge,) = (await client.v1.charges.list_async()).data
        of: Any = {by: charge.id if by == "charge" else charge.payment_intent}
        await client.v1.refunds.create_async(of | {"amount": 300})
        rest = await client.v1.refunds.create_async(of)
        assert rest.amount == charge.amount - 300
        assert (await client.v1.charges.retrieve_async(charge.id)).refunded
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await client.v1.refunds.create_async(of)
        assert refused.value.code == "charge_already_refunded"


async def test_a_refund_that_fails_is_seen_and_what_it_took_can_be_refunded_again() -> None:
    account, session = bought()
    async with connected(account) as client:
        refund = await client.v1.refunds.create_async({"payment_intent": str(session.payment_intent)})
        before = len(account.events)
        account.fail_refund(account.records["refund"][refund.id])
        assert types_since(account, before) == ["refund.updated", "charge.refund.updated", "refund.failed"]
        assert (await client.v1.refunds.retrieve_async(refund.id)).status == "failed"
        again = await client.v1.refunds.create_async({"charge": str(refund.charge)})
        assert again.amount == 2000


async def test_a_delayed_payment_has_a_charge_once_it_went_through() -> None:
    account, session = bought(delayed=True)
    intent = str(session.payment_intent)
    async with connected(account) as client:
        assert (await client.v1.payment_intents.retrieve_async(intent)).status == "processing"
        assert (await client.v1.charges.list_async()).data == []
        with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
            await client.v1.refunds.create_async({"payment_intent": intent})
        account.advance(3 * 86_400)
        account.complete_delayed_payment(session)
        account.advance(60)
        (charge,) = (await client.v1.charges.list_async({"payment_intent": intent})).data
        assert charge.created == account.now - 60
        assert (await client.v1.refunds.create_async({"charge": charge.id})).amount == 2000


async def test_a_session_that_sells_a_subscription_has_the_charge_of_its_invoice_alone() -> None:
    account = Account(1)
    session = account.open_checkout([("price_team", 1)])
    complete_checkout(account, session.id)
    async with connected(account) as client:
        (charge,) = (await client.v1.charges.list_async()).data
        (intent,) = (await client.v1.payment_intents.list_async()).data
        assert (charge.amount, intent.latest_charge) == (2900, charge.id)


async def test_the_charges_and_payment_intents_of_a_customer_are_all_listed() -> None:
    account, session = bought(customer="cus_ada")
    account.pay_once(account.open_once([("price_top_up", 1)]))
    async with connected(account) as client:
        (charge,) = (await client.v1.charges.list_async({"customer": "cus_ada"})).data
        (intent,) = (await client.v1.payment_intents.list_async({"customer": "cus_ada"})).data
        assert (charge.payment_intent, intent.id) == (session.payment_intent, session.payment_intent)
        assert plain(intent).keys() == declared("payment_intent")
        assert plain(charge).keys() == declared("charge")
        assert len((await client.v1.payment_intents.list_async()).data) == 2


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({}, "parameter_missing", "charge"),
        ({"charge": "ch_nobody"}, "resource_missing", "No such charge: 'ch_nobody'"),
        ({"payment_intent": "pi_nobody"}, "resource_missing", "No such payment_intent: 'pi_nobody'"),
        ({"charge": "CHARGE", "payment_intent": "INTENT"}, None, "Please pass in only one"),
        ({"charge": "CHARGE", "amount": 2001}, None, "greater than unrefunded amount"),
        ({"charge": "CHARGE", "amount": 0}, "parameter_invalid_integer", "Invalid positive integer"),
        ({"charge": "CHARGE", "reason": "boredom"}, None, "Invalid reason"),
    ],
)
async def test_a_refund_that_stripe_refuses_changes_nothing(
    params: Any, code: str | None, message: str
) -> None:
    account, session = bought()
    real = {"CHARGE": account.charge_of_session(session).id, "INTENT": session.payment_intent}
    before = len(account.events)
    async with connected(account) as client:
        given: Any = {key: real.get(one, one) for key, one in params.items()}
        with pytest.raises(stripe.InvalidRequestError, match=message) as refused:
            await client.v1.refunds.create_async(given)
        assert (refused.value.http_status, refused.value.code) == (400, code)
        assert (await client.v1.refunds.list_async()).data == []
    assert len(account.events) == before
