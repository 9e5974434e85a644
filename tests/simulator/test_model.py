"""What the account does, and what its events say of it."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest

from app.simulator import (
    DAY,
    NEW,
    OLD,
    Account,
    Event,
    Shape,
    Subscription,
    event_body,
    render,
    render_event,
    truth,
)

from .histories import history, put_back, without_nulls

SEEDS = range(30)
STATES = {
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
}


@pytest.mark.long
@pytest.mark.parametrize("shape", [OLD, NEW])
def test_previous_attributes_put_back_give_what_the_event_before_showed(shape: Shape) -> None:
    steps = 0
    for seed in SEEDS:
        shown: dict[str, object] = {}
        for event in history(seed, twice=0).events:
            data = render_event(event, shape)["data"]
            if previous := data.get("previous_attributes"):
                assert without_nulls(put_back(data["object"], previous)) == shown[event.after.id]
                assert put_back(data["object"], previous) != data["object"]
                steps += 1
            shown[event.after.id] = without_nulls(data["object"])
    assert steps > 300


def test_only_updates_carry_previous_attributes() -> None:
    for event in history(3, steps=200).events:
        assert ("previous_attributes" in render_event(event, NEW)["data"]) == event.type.endswith(".updated")


def test_a_change_of_seats_shows_the_whole_items_before_and_a_new_key_shows_null() -> None:
    account, subscription = _subscribed()
    account.change_quantity(subscription, 5)
    previous = render_event(account.events[-1], NEW)["data"]["previous_attributes"]
    assert previous.keys() == {"items"} and previous["items"].keys() == {"data"}
    assert [item["quantity"] for item in previous["items"]["data"]] == [1]
    account.set_metadata(subscription, tier="a")
    previous = render_event(account.events[-1], NEW)["data"]["previous_attributes"]
    assert previous == {"metadata": {"tier": None}}


@pytest.mark.parametrize("shape", [OLD, NEW])
def test_the_same_seed_gives_the_same_bytes(shape: Shape) -> None:
    def bodies(seed: int) -> list[bytes]:
        return [event_body(event, shape) for event in history(seed).events]

    assert bodies(7) == bodies(7)
    assert bodies(7) != bodies(8)


def test_event_ids_say_nothing_about_time() -> None:
    ids = [event.id for event in history(4, steps=300, twice=0).events]
    rising = sum(one < other for one, other in pairwise(ids)) / len(ids)
    assert 0.4 < rising < 0.6


@pytest.mark.long
def test_histories_keep_stripes_invariants() -> None:
    for seed in SEEDS:
        account = history(seed)
        assert len({event.id for event in account.events}) == len(account.events)
        times = [event.created for event in account.events]
        assert times == sorted(times)
        for subscription in account.subscriptions.values():
            _check_subscription(account, subscription)
        for invoice in account.invoices.values():
            assert 0 <= invoice.amount_paid <= invoice.amount_due
            assert (invoice.status == "paid") == (invoice.paid_at is not None)
            assert invoice.next_payment_attempt is None or invoice.status == "open"


def _check_subscription(account: Account, subscription: Subscription) -> None:
    snapshots = [
        event.after
        for event in account.events
        if isinstance(event.after, Subscription) and event.after.id == subscription.id
    ]
    statuses = [snapshot.status for snapshot in snapshots]
    ended = [status in ("canceled", "incomplete_expired") for status in statuses]
    assert set(statuses) <= STATES
    assert ended == sorted(ended), "nothing follows an end"
    begun = [status != "incomplete" for status in statuses]
    assert begun == sorted(begun), "incomplete follows nothing else"
    for snapshot in snapshots:
        assert snapshot.period_start < snapshot.period_end
        assert (snapshot.ended_at is not None) == (snapshot.status in ("canceled", "incomplete_expired"))
    assert snapshots[-1] == subscription, "the events show the account's end"


def test_histories_reach_every_corner() -> None:
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        account = history(seed)
        reached.update(event.type for event in account.events)
        reached.update(e.after.status for e in account.events if isinstance(e.after, Subscription))
        reached["circle"] += _circles(account.events)
        reached["twice"] += len(account.events) - len({_change(event) for event in account.events})
    corners = {"circle", "twice", "customer.deleted", "customer.subscription.paused", "invoice.voided"}
    corners |= {"customer.subscription.resumed", "customer.subscription.pending_update_expired"}
    corners |= {"customer.subscription.trial_will_end", "invoice.marked_uncollectible"}
    corners |= {"unpaid", "past_due", "canceled", "incomplete_expired", "trialing", "paused", "active"}
    assert {corner for corner in corners if not reached[corner]} == set()


@pytest.mark.long
def test_no_change_within_a_circle_comes_twice() -> None:
    """From A -> B, B -> A, A -> B again no one could tell the end."""
    doubled = 0
    for seed in SEEDS:
        once = history(seed, twice=0).events
        ids = {event.id for event in once}
        steps: dict[tuple[str, int], list[Event]] = defaultdict(list)
        for event in once:
            if event.before is not None:
                steps[event.after.id, event.created].append(event)
        for copy in history(seed, twice=1).events:
            if copy.id not in ids:
                path = steps[copy.after.id, copy.created]
                states = [repr(path[0].before), *(repr(step.after) for step in path)]
                assert len(set(states)) == len(states)
                doubled += 1
    assert doubled > 100


def _change(event: Event) -> str:
    step = (event.type, event.created, repr(event.before), repr(event.after))
    return repr(step) if event.before is not None else event.id


def _circles(events: list[Event]) -> int:
    first: dict[tuple[str, int], object] = {}
    circles = 0
    for event in events:
        if event.before is not None:
            start = first.setdefault((event.after.id, event.created), event.before)
            circles += start == event.after
    return circles


def _subscribed() -> tuple[Account, Subscription]:
    account = Account(1)
    return account, account.create_subscription(account.create_customer())


def _types(account: Account, act: Callable[[], object]) -> list[str]:
    start = len(account.events)
    act()
    return [event.type.removeprefix("customer.") for event in account.events[start:]]


def test_an_action_that_changes_nothing_sends_nothing() -> None:
    account, subscription = _subscribed()
    assert _types(account, lambda: account.change_quantity(subscription, 1)) == []


def test_a_pending_update_is_proposed_and_then_applied_or_expires() -> None:
    account, subscription = _subscribed()
    assert _types(account, lambda: account.propose_update(subscription, 4)) == ["subscription.updated"]
    waiting = render(subscription, NEW)
    assert waiting["pending_update"]["subscription_items"][0]["quantity"] == 4
    assert waiting["items"]["data"][0]["quantity"] == 1
    applied = _types(account, lambda: account.apply_pending_update(subscription, 4))
    assert applied == ["subscription.updated", "subscription.pending_update_applied"]
    changed = render(subscription, NEW)
    assert changed["pending_update"] is None and changed["items"]["data"][0]["quantity"] == 4
    account.propose_update(subscription, 9)
    account.expire_pending_update(subscription)
    rendered = render(subscription, NEW)
    assert rendered["pending_update"] is None and rendered["items"]["data"][0]["quantity"] == 4


def test_a_resumed_subscription_has_a_period_that_is_paid() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer(), trial_days=7)
    account.advance(7 * DAY)
    account.pause(subscription)
    account.advance(9 * DAY)
    assert _types(account, lambda: account.resume(subscription))[-1] == "subscription.resumed"
    shown = truth(account)["subscriptions"][subscription.id]
    assert shown["status"] == "active"
    assert shown["expiry_date"] == shown["paid_through"] == account.now + 30 * DAY


def test_prices_of_ones_own_and_several_items_with_periods_of_their_own() -> None:
    account = Account(1)
    account.create_price("price_desk", 1200, currency="eur", interval="year")
    subscription = account.create_subscription(account.create_customer(), ("price_team", "price_desk"))
    assert subscription.period_end == account.now + 365 * DAY
    shown = truth(account, whole=True)["subscriptions"][subscription.id]
    assert [item["price_id"] for item in shown["items"]] == ["price_team", "price_desk"]
    assert shown["items"][1]["currency"] == "eur"
    assert shown["current_period_end"] == shown["paid_through"] == subscription.period_end
    assert "price_desk" not in Account(2).prices
