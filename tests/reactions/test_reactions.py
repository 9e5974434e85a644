"""After the commit: each fact is announced by its signal, once, with what it is about."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.signals import (
    event_signal,
)
from app.simulator import DAY, NEW, Account, event_body, play

from ..client import AUTH, Client
from ..limits.helpers import START, Clock
from .helpers import Listener, deliver_all, documented_facts, service_of

pytestmark = pytest.mark.postgresql_in_long


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("sign_up", {"subscription_activated"}),
        ("renewal", {"subscription_activated"}),
        ("trial", {"subscription_activated", "trial_ending"}),
        ("failed_payment", {"subscription_activated", "payment_failed"}),
        ("failed_payment_recovered", {"subscription_activated", "payment_failed", "payment_recovered"}),
        ("failed_payment_lost", {"subscription_activated", "payment_failed"}),
        ("cancel_now", {"subscription_activated", "subscription_ended"}),
        ("expired_sign_up", {"subscription_ended", "payment_failed"}),
    ],
)
@pytest.mark.rest_in_long(5)
async def test_a_scenario_is_announced_by_these_signals(
    client: Client, listener: Listener, scenario: str, expected: set[str]
) -> None:
    account = Account(1, start=START - 60)
    play(account, scenario, user_id="ada")
    await client.deliver(*account.events)
    await deliver_all(client, listener)
    told = set(listener.signals()) - {"payment_action_required"}
    assert told == expected | {"subscription_changed"}


async def test_a_refund_and_a_dispute_are_announced_with_their_amounts(
    client: Client, listener: Listener
) -> None:
    account = Account(1, start=START - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    invoice = account.renew(subscription)
    account.refund(invoice, 700)
    dispute = account.dispute(invoice)
    account.close_dispute(dispute, won=False)
    await client.deliver(*account.events)
    await deliver_all(client, listener)
    refund = next(each for each in listener.heard if each.signal == "payment_refunded")
    assert refund.user_id == "ada"
    assert (refund.facts["amount"], refund.facts["currency"]) == (700, "usd")
    disputes = [each for each in listener.heard if each.signal == "payment_disputed"]
    assert sorted(each.facts["status"] for each in disputes) == ["lost", "needs_response"]
    for each in disputes:  # a stored event of the charge names the customer, who has one subscription
        assert (each.user_id, each.customer_id) == ("ada", subscription.customer)
        assert each.subscription_id == subscription.id


async def test_what_few_events_announce_has_the_facts_that_the_reference_lists(
    client: Client, listener: Listener
) -> None:
    account = Account(1, start=START - 60)
    customer = account.create_customer(user_id="ada")
    invoice = account.renew(account.create_subscription(customer, "price_team"))
    account.warn_of_fraud(invoice)
    session = account.open_checkout([("price_team", 1)], client_reference_id="ada")
    account.fail_async_payment(session)
    account.expire_checkout(session)
    await client.deliver(*account.events)
    await deliver_all(client, listener)
    assert {"fraud_warning", "checkout_payment_failed", "checkout_expired"} <= set(listener.signals())
    assert documented_facts("fraud_warning") == {"warning_id", "charge_id", "fraud_type", "actionable"}
    assert documented_facts("limit_reached") == documented_facts("usage_threshold_reached")


@pytest.mark.parametrize("shape", ["before 2025-03-31.basil", "with expanded payments"])
async def test_a_dispute_names_who_paid_the_invoice_that_it_is_about(
    client: Client, listener: Listener, shape: str
) -> None:
    account = Account(1, start=START - 60)
    customer = account.create_customer(user_id="ada")
    for _ in range(2):
        subscription = account.create_subscription(customer, "price_team")
    invoice = account.renew(subscription)
    *told, last = [json.loads(event_body(event, NEW)) for event in account.events]
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    for event in (*told, last):
        if event["data"]["object"]["id"] == invoice.id:
            own = {"payment_intent": "pi_1", "charge": "ch_1"}
            expanded = {"payments": {"object": "list", "data": [{"payment": payment}]}}
            event["data"]["object"] |= own if shape.startswith("before") else expanded
        await client.send(event)
    dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "amount": 2900}
    await client.send(
        {
            "id": "evt_dispute",
            "object": "event",
            "type": "charge.dispute.created",
            "created": START,
            "livemode": False,
            "data": {
                "object": dispute | {"status": "needs_response", "currency": "usd", "reason": "general"}
            },
        }
    )
    await deliver_all(client, listener)
    told_of = next(each for each in listener.heard if each.signal == "payment_disputed")
    assert (told_of.user_id, told_of.customer_id) == ("ada", customer.id)
    assert (told_of.subscription_id, told_of.invoice_id) == (subscription.id, invoice.id)


async def test_a_failed_attempt_that_is_heard_of_after_the_payment_is_no_news(
    client: Client, listener: Listener
) -> None:
    account = Account(1, start=START - 60)
    play(account, "failed_payment_recovered", user_id="ada")
    await client.deliver(*reversed(account.events))
    await deliver_all(client, listener)
    assert "payment_failed" not in listener.signals()


async def test_a_change_says_what_changed(client: Client, listener: Listener) -> None:
    account = Account(1, start=START - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(10)
    account.change_quantity(subscription, 4)
    await client.deliver(*account.events)
    await deliver_all(client, listener)
    change = next(each for each in listener.heard if each.event_id == account.events[-1].id)
    assert change.signal == "subscription_changed"
    assert change.facts["changes"]["quantity"] == [1, 4]
    assert change.user_id == "ada"


async def test_a_duplicate_and_a_replay_are_not_told_again(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START - 60)
    play(account, "cancel_now", user_id="ada")
    await client.deliver(*account.events, *account.events)
    await deliver_all(client, listener)
    told = len(listener.heard)
    assert len({each.id for each in listener.heard}) == told
    event_id = listener.heard[-1].event_id
    async with service_of(client).database.session() as session:
        connection = await session.connection()
        await connection.execute(
            text("UPDATE billing_event SET state = 'dead', next_attempt_at = NULL WHERE id = :id"),
            {"id": event_id},
        )
        await connection.execute(text("UPDATE billing_subscription SET status = 'active', snapshot_rank = 2"))
    replayed = await client.http.post(f"/internal/events/{event_id}/replay", headers=AUTH)
    assert replayed.json()["state"] == "processed"
    await deliver_all(client, listener)
    assert len(listener.heard) == told


async def test_an_event_that_is_given_up_is_announced(
    client: Client, listener: Listener, clock: Clock
) -> None:
    def raising(event: Any, unit_of_work: Any) -> None:
        raise ValueError("not today")

    signal = event_signal("customer.created")
    signal.connect(raising)
    try:
        account = Account(1, start=START - 60)
        account.create_customer()
        await client.deliver(*account.events)
        for _ in range(12):
            clock.now += DAY
            await service_of(client).worker.retry_due()
        await deliver_all(client, listener)
        assert listener.signals() == ["event_dead"]
        await client.http.post("/internal/events/replay", json={"state": "dead"}, headers=AUTH)
        for _ in range(12):
            clock.now += DAY
            await service_of(client).worker.retry_due()
    finally:
        signal.disconnect(raising)
    await deliver_all(client, listener)
    assert listener.signals() == ["event_dead"] * 2  # it was given up twice
    assert listener.heard[0].facts["event_type"] == "customer.created"
