"""The simulator, held against Stripe's own samples and against itself."""

import json
import random
from typing import Any

import orjson
import pytest
from stripe import WebhookSignature

from app.simulator import (
    NEW,
    OLD,
    SCENARIOS,
    Account,
    Faults,
    Shape,
    deliveries,
    event_body,
    play,
    random_history,
    render,
    render_event,
    sign,
    thin_events,
    truth,
)
from app.stripe.steps import canonical, put_back

from .. import SHARED

beside = pytest.mark.skipif(not SHARED.is_dir(), reason="Stripe's samples are not beside this checkout")

ENDS = {
    "failed_payment": "past_due",
    "failed_payment_lost": "unpaid",
    "cancel_at_period_end": "canceled",
    "cancel_now": "canceled",
    "expired_sign_up": "incomplete_expired",
}


def history(seed: int) -> Account:
    account = Account(seed)
    random_history(account, random.Random(seed), customers=2, steps=30)
    return account


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_a_scenario_ends_in_the_status_that_its_name_says(name: str) -> None:
    assert play(Account(1), name).status == ENDS.get(name, "active")


@pytest.mark.parametrize("shape", [OLD, NEW])
def test_the_same_seed_gives_the_same_bytes(shape: Shape) -> None:
    first, again, other = ([event_body(event, shape) for event in history(seed).events] for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("shape", [OLD, NEW])
def test_previous_attributes_put_back_give_the_object_before(shape: Shape) -> None:
    steps = [event for event in history(9).events if event.before is not None]
    assert len(steps) > 10
    for event in steps:
        data = render_event(event, shape)["data"]
        assert event.before is not None
        before = render(event.before, shape)
        assert canonical(put_back(data["object"], data["previous_attributes"])) == canonical(before)
        assert data["previous_attributes"]


def test_each_step_begins_where_the_one_before_it_ended() -> None:
    states: dict[str, Any] = {}
    for event in history(11).events:
        if event.type.startswith("customer.subscription"):
            if event.before is not None:
                assert event.before == states[event.after.id]
            states[event.after.id] = event.after


def test_stripes_own_verifier_accepts_the_signature() -> None:
    body = event_body(history(1).events[0], NEW)
    assert WebhookSignature.verify_header(body, sign(body, "whsec_test_a", 1_893_456_000), "whsec_test_a")


def test_faults_are_repeatable_and_lose_nothing() -> None:
    events = history(3).events
    faults = Faults(duplicates=0.5, reorder=True, delayed=0.3)
    first, again = (deliveries(events, random.Random(4), faults) for _ in range(2))
    assert first == again
    assert first != events
    assert {event.id for event in first} == {event.id for event in events}
    assert len(first) > len(events)
    assert deliveries(events, random.Random(4), Faults()) == events


def test_every_handled_event_type_is_played_somewhere() -> None:
    from app.inbox.handlers import HANDLERS

    account = Account(1)
    for name in SCENARIOS:
        play(account, name)
    subscription = account.create_subscription(account.create_customer())
    account.apply_pending_update(subscription, 3)
    account.expire_pending_update(subscription)
    account.void(account.renew(subscription, paid=False))
    invoice = account.renew(subscription)
    account.refund(invoice, 100)
    bought = account.open_once([("price_team", 1)])
    account.refund_once(account.pay_once(bought))
    for refund in account.records["refund"].values():
        account.fail_refund(refund)
    account.close_dispute(account.dispute(invoice))
    account.update_customer(account.create_customer(), email="new@example.com")
    account.delete_customer(account.create_customer())
    account.create_price("price_old", 100)
    account.update_price("price_old", active=False, lookup_key="old_monthly")
    account.delete_price("price_old")
    played = {event.type for event in account.events}
    played |= {thin.type.removeprefix("v1.") for event in account.events for thin in thin_events(event)}
    handled = {name for name in HANDLERS if not name.startswith("internal.")}
    assert handled - NOT_PLAYED <= played


NOT_PLAYED = {
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.expired",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "invoice.deleted",
    "invoice.finalization_failed",
    "invoice.overdue",
    "invoice.updated",
    "invoice_payment.failed",
    "invoice_payment.paid",
    "product.created",
    "product.deleted",
    "product.updated",
    "radar.early_fraud_warning.created",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.released",
    "subscription_schedule.updated",
}
"""Handled types that no function of the account makes by itself; routes of its API make most of them."""


def test_events_are_about_as_large_as_stripes() -> None:
    sizes = [
        len(event_body(event, shape))
        for event in history(2).events
        for shape in (OLD, NEW)
        if event.type == "customer.subscription.updated"
    ]
    assert min(sizes) > 4000


def test_the_truth_knows_of_no_shape_and_of_no_order() -> None:
    account = history(12)
    before = truth(account)
    random.Random(1).shuffle(account.events)
    assert truth(account) == before
    json.dumps(before)


@beside
@pytest.mark.parametrize("name", ["customer.subscription.updated", "invoice.payment_succeeded"])
def test_old_objects_have_the_members_that_older_real_events_have(name: str) -> None:
    sample = orjson.loads((SHARED / "stripe-ruby-mock" / f"{name}.json").read_bytes())
    account = history(1)
    event = next(event for event in account.events if event.type == name)
    ours = render_event(event, OLD)
    assert ours.keys() >= sample.keys() - {"request"}
    needed = {"id", "object", "customer", "status", "livemode", "metadata", "created"}
    if name.startswith("customer"):
        needed |= {"current_period_end", "current_period_start", "items", "plan", "quantity", "start_date"}
    else:
        needed |= {"subscription", "paid", "lines", "amount_paid", "attempt_count", "hosted_invoice_url"}
    assert needed <= sample["data"]["object"].keys() & ours["data"]["object"].keys()
