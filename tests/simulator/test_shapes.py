"""Both shapes, held against samples that this project did not write."""

from functools import cache
from typing import Any

import orjson
import pytest

from app.simulator import (
    DAY,
    NEW,
    OLD,
    SCENARIOS,
    Account,
    Shape,
    event_body,
    play,
    render,
    render_event,
    truth,
)

from .. import SHARED
from .declared import declared
from .histories import history

beside = pytest.mark.skipif(not SHARED.is_dir(), reason="Stripe's samples are not beside this checkout")

Json = dict[str, Any]


@cache
def everything() -> Account:
    account = Account(1)
    for name in SCENARIOS:
        play(account, name, user_id=name)
    return account


def objects(shape: Shape) -> dict[str, Json]:
    """One rendered object of each kind, items and lines as well."""
    found = {}
    for event in everything().events:
        content = render_event(event, shape)["data"]["object"]
        found[content["object"]] = content
    found["subscription_item"] = found["subscription"]["items"]["data"][0]
    found["price"] = found["subscription_item"]["price"]
    found["plan"] = found["subscription_item"]["plan"]
    found["line_item"] = found["invoice"]["lines"]["data"][0]
    account = Account(1)
    account.create_subscription(account.create_customer())
    (invoice,) = account.invoices.values()
    found["charge"] = render(account.refund(invoice, 100), shape)
    found["dispute"] = render(account.dispute(invoice), shape)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        "charge",
        "checkout.session",
        "customer",
        "dispute",
        "invoice",
        "line_item",
        "plan",
        "price",
        "subscription",
        "subscription_item",
    ],
)
def test_the_newest_objects_have_exactly_the_members_that_the_library_declares(kind: str) -> None:
    assert objects(NEW)[kind].keys() == declared(kind)


def test_the_members_of_the_newest_version_say_what_happened() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer(), trial_days=7)
    item = render(subscription, NEW)["items"]["data"][0]
    assert (item["billed_until"], item["current_trial"]) == (item["current_period_end"], None)
    assert render(subscription, NEW)["status_details"] is None
    account.advance(7 * DAY)
    account.pause(subscription)
    paused = render(subscription, NEW)["status_details"]["paused"]
    assert paused["subscription"] == {"type": "trial_end_without_payment_method"}
    assert paused["transitioned_at"] == account.now
    account.resume(subscription)
    assert render(subscription, NEW)["status_details"] is None


@beside
@pytest.mark.parametrize(
    "name",
    [
        "customer.created",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.payment_failed",
        "checkout.session.completed",
    ],
)
def test_old_events_have_every_member_of_older_real_ones(name: str) -> None:
    sample = orjson.loads((SHARED / "stripe-ruby-mock" / f"{name}.json").read_bytes())
    event = next(event for event in everything().events if event.type == name)
    ours = render_event(event, OLD)
    assert ours.keys() >= sample.keys()
    dropped = {"shipping", "shipping_rate", "aggregate_usage"}  # left the API between 2020 and 2024
    missing = sample["data"]["object"].keys() - ours["data"]["object"].keys() - dropped
    assert missing == set()


def test_the_shapes_differ_where_stripe_changed_them() -> None:
    old, new = objects(OLD), objects(NEW)
    periods = {"current_period_start", "current_period_end"}
    assert periods <= old["subscription"].keys() and not periods & old["subscription_item"].keys()
    assert periods <= new["subscription_item"].keys() and not periods & new["subscription"].keys()
    details = new["invoice"]["parent"]["subscription_details"]
    assert old["invoice"]["subscription"].startswith("sub_") and details["subscription"].startswith("sub_")
    assert "parent" not in old["invoice"] and "paid" not in new["invoice"]
    assert old["line_item"]["type"] == "subscription" and "pricing" not in old["line_item"]
    price = new["line_item"]["pricing"]["price_details"]
    assert price.keys() == {"price", "product"} and "price" not in new["line_item"]


@pytest.mark.parametrize("shape", [OLD, NEW])
def test_a_subscription_event_is_as_large_as_stripes(shape: Shape) -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer(), user_id="ada")
    account.change_quantity(subscription, 2)
    sizes = [len(event_body(e, shape)) for e in account.events if e.after.id == subscription.id]
    assert min(sizes) > 4000 and max(sizes) < 8000


def test_live_mode_reaches_the_innermost_price() -> None:
    def modes(value: Any) -> set[bool]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = {value["livemode"]} if isinstance(value, dict) and "livemode" in value else set()
        return own.union(*map(modes, inner))

    for event in everything().events:
        assert modes(render_event(event, NEW, livemode=True)) == {True}
        assert modes(render_event(event, OLD)) == {False}


def test_both_shapes_tell_the_truth() -> None:
    """The subscription of its last event, read out of either shape by hand, is the truth's."""
    for seed in range(20):
        account = history(seed)
        expected = truth(account, whole=True)["subscriptions"]
        for shape in (OLD, NEW):
            last = {e.after.id: e for e in account.events if e.type.startswith("customer.subscription.")}
            for id, event in last.items():
                shown = read(render_event(event, shape)["data"]["object"])
                assert shown == {name: expected[id][name] for name in shown}


def read(content: Json) -> Json:
    items = content["items"]["data"]
    holders = [content] if "current_period_end" in content else items
    return {
        "status": content["status"],
        "customer_id": content["customer"],
        "plan_id": items[0]["price"]["id"],
        "quantity": items[0]["quantity"],
        "current_period_start": min(holder["current_period_start"] for holder in holders),
        "current_period_end": max(holder["current_period_end"] for holder in holders),
        "cancel_at": content["cancel_at"],
        "canceled_at": content["canceled_at"],
        "ended_at": content["ended_at"],
        "trial_end": content["trial_end"],
        "pause_collection": content["pause_collection"],
        "metadata": content["metadata"],
    }


def test_invoices_that_no_delivered_event_showed_are_not_in_the_truth() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    account.advance(30 * DAY)
    invoice = account.renew(subscription)
    assert invoice.id in truth(account)["invoices"]
    account.events = [event for event in account.events if event.after.id != invoice.id]
    assert invoice.id not in truth(account)["invoices"]
