"""A large account: the same pages, at the same cost."""

import random
from collections import Counter

import pytest

from app.simulator import Account, play, random_history, truth
from app.simulator.api import catalogue, listing
from app.simulator.api.index import Index
from app.simulator.bulk import STATUSES
from app.simulator.model import Entity, Subscription

from .client import connected, ids

pytestmark = pytest.mark.xdist_group("large account")


@pytest.fixture(scope="module", params=[40_000, pytest.param(100_000, marks=pytest.mark.long)])
def large(request: pytest.FixtureRequest) -> Account:
    account = Account(1)
    account.bulk(request.param)
    return account


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every object that a list looks at."""
    seen: list[str] = []
    looked_at = listing.Selection.__contains__

    def contains(self: listing.Selection, id: str) -> bool:
        seen.append(id)
        return looked_at(self, id)

    monkeypatch.setattr(listing.Selection, "__contains__", contains)
    return seen


@pytest.mark.long
async def test_a_page_of_a_large_account_looks_at_no_more_than_it_shows(
    large: Account, walked: list[str]
) -> None:
    oldest_first = list(large.subscriptions)
    price = min(s.items[0].price.id for s in large.subscriptions.values())
    async with connected(large) as client:
        for place in (len(oldest_first) - 1, len(oldest_first) // 2, 150):
            walked.clear()
            cursor = oldest_first[place]
            page = await client.v1.subscriptions.list_async(
                {"limit": 100, "status": "all", "starting_after": cursor}
            )
            assert ids(page) == oldest_first[place - 100 : place][::-1]
            assert len(walked) == 101
        for status in (*STATUSES, "incomplete"):
            walked.clear()
            some = await client.v1.subscriptions.list_async({"limit": 100, "status": status})
            assert {subscription.status for subscription in some.data} <= {status}
            assert len(walked) == (101 if status in STATUSES else 0)
        walked.clear()
        mixed = await client.v1.subscriptions.list_async({"limit": 40, "status": "unpaid", "price": price})
        assert len(mixed.data) == 40 and len(walked) < 2 * len(oldest_first) * STATUSES["unpaid"] / 100
        walked.clear()
        newest = await client.v1.subscriptions.list_async({"created": {"gte": large.now - 3600}})
        assert len(walked) == len(newest.data) <= 10


@pytest.mark.long
async def test_a_change_in_a_large_account_is_all_that_is_taken_up(
    large: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(large) as client:
        await client.v1.customers.list_async()
        taken: list[str] = []
        take = catalogue.Catalogue._take

        def count(self: catalogue.Catalogue, index: Index, entity: Entity) -> None:
            taken.append(entity.id)
            take(self, index, entity)

        monkeypatch.setattr(catalogue.Catalogue, "_take", count)
        subscription = play(large, "seats")
        page = await client.v1.subscriptions.list_async({"limit": 1})
        assert ids(page) == [subscription.id] and subscription.id in taken
        assert len(taken) < 30
        taken.clear()
        await client.v1.subscriptions.list_async({"limit": 1})
        assert taken == []


def test_bulk_is_the_same_for_the_same_seed_and_leaves_what_comes_next_alone() -> None:
    one, same, other, alone = Account(1), Account(1), Account(1), Account(1)
    one.bulk(300, seed=5)
    same.bulk(300, seed=5)
    other.bulk(300, seed=6)
    assert one.subscriptions == same.subscriptions and one.customers == same.customers
    assert one.subscriptions.keys().isdisjoint(other.subscriptions)
    assert one.create_customer() == alone.create_customer()


def test_bulk_keeps_stripes_invariants_and_the_truth_knows_its_users() -> None:
    account = Account(1)
    account.bulk(2_000)
    shown = truth(account, whole=True)["subscriptions"]
    assert {s.status for s in account.subscriptions.values()} == set(STATUSES)
    for number, subscription in enumerate(account.subscriptions.values()):
        assert (subscription.ended_at is not None) == (subscription.status == "canceled")
        assert subscription.created <= subscription.period_start <= account.now < subscription.period_end
        assert shown[subscription.id]["user_id"] == f"user_{number}"
    assert account.events == []


@pytest.mark.long
def test_the_users_of_a_history_are_those_that_its_objects_name() -> None:
    """Found again for each subscription, from its own metadata, its session, and its customer."""
    seen: Counter[str] = Counter()
    for seed in range(40):
        account = Account(seed)
        random_history(account, random.Random(seed), customers=3, steps=40)
        shown = truth(account)
        for id, subscription in account.subscriptions.items():
            source, expected = _owner(account, subscription)
            assert shown["subscriptions"][id]["user_id"] == expected, (seed, id, source)
            seen[source] += 1
    assert seen.keys() == {"own", "session", "customer", "reference", "nobody"}


def _owner(account: Account, subscription: Subscription) -> tuple[str, str | None]:
    """Which claim names the user of a subscription, and whom."""
    if user_id := subscription.metadata.get("user_id"):
        return "own", user_id
    states = [event.after for event in account.events if event.after.id == subscription.id]
    ever = any(isinstance(state, Subscription) and state.metadata.get("user_id") for state in states)
    sessions = [each for each in account.sessions.values() if each.customer == subscription.customer]
    for session in sessions:
        if session.subscription == subscription.id and not ever and session.metadata.get("user_id"):
            return "session", session.metadata["user_id"]
    if user_id := account.customers[subscription.customer].metadata.get("user_id"):
        return "customer", user_id
    created = {event.after.id: (event.created, event.id) for event in account.events}
    if sessions:
        return "reference", min(sessions, key=lambda each: created[each.id]).client_reference_id
    return "nobody", None
