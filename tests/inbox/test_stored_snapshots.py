"""A burst of one object in several batches: each stored event is read once, not once for each batch."""

import random
from collections.abc import AsyncIterator

import orjson
import pytest

from app.inbox import stored_snapshots
from app.inbox.delivery import receive
from app.inbox.stored_snapshots import StoredSnapshots
from app.inbox.transaction import Transactions
from app.simulator import NEW, Account, event_body
from app.stripe.events import StripeEvent, parse

from ..client import Client, running
from ..limits.helpers import START

BURST = 12


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: START) as client:
        yield client


def burst() -> list[bytes]:
    """The events of a subscription that was changed often in one second, in a random order."""
    account = Account(1, start=START - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"))
    for number in range(BURST):
        account.change_quantity(subscription, number + 2)
    found = [orjson.loads(event_body(event, NEW)) for event in account.events]
    changes = [event for event in found if event["type"] == "customer.subscription.updated"]
    bodies = [orjson.dumps(event | {"created": START - 30}) for event in changes]
    random.Random(1).shuffle(bodies)
    return [orjson.dumps(event) for event in found if event not in changes] + bodies


class Parsed:
    """Parses stored events, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        monkeypatch.setattr(stored_snapshots, "parse", self)

    def __call__(self, body: bytes) -> StripeEvent:
        event = parse(body)
        self.ids.append(event.id)
        return event


async def commit(client: Client, bodies: list[bytes], size: int) -> Transactions:
    """Commit the events in batches of that size."""
    transactions: Transactions = client.app.state.billing.inbox.transactions
    for start in range(0, len(bodies), size):
        some = bodies[start : start + size]
        await transactions.commit([receive(body, signature=None, received_at=START) for body in some])
    return transactions


async def test_events_that_this_process_has_applied_are_not_parsed_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, bodies = Parsed(monkeypatch), burst()
    transactions = await commit(client, bodies, 4)
    # Before the first batch that was contested nothing is noted; each of its events is parsed once at most.
    assert len(parsed.ids) == len(set(parsed.ids)) <= 4
    monkeypatch.setattr(transactions, "_stored", StoredSnapshots())  # as in another process
    parsed.ids.clear()
    later = [orjson.dumps(orjson.loads(body) | {"id": f"evt_twin_{n}"}) for n, body in enumerate(bodies[-3:])]
    await commit(client, later, 1)
    assert len(parsed.ids) == len(set(parsed.ids)) >= BURST


async def test_what_is_remembered_changes_no_record(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = burst()
    monkeypatch.setattr(stored_snapshots, "MAX_REMEMBERED", 2)
    await commit(client, bodies, 3)
    subscription = orjson.loads(bodies[-1])["data"]["object"]["id"]
    stored = await client.read(f"/internal/subscriptions/{subscription}")
    assert (stored["quantity"], stored["needs_refresh"]) == (BURST + 1, False)


def test_a_body_that_was_reduced_is_another() -> None:
    stored = StoredSnapshots()
    body = next(body for body in burst() if b"subscription.updated" in body)
    event = parse(body)
    stored.note(event)
    reduced = orjson.loads(body)
    reduced["data"]["object"]["metadata"] = {"team": "blue"}
    known, other = stored.of(event.body), stored.of(orjson.dumps(reduced).decode())
    assert known is not None
    assert other is not None
    assert known == stored.of(body.decode())
    assert known.id == event.id
    assert other.id == event.id
    assert other.state != known.state


def test_no_more_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_snapshots, "MAX_REMEMBERED", 2)
    parsed, stored = Parsed(monkeypatch), StoredSnapshots()
    first, second, third = [body.decode() for body in burst()[:3]]
    for body in (first, second, first, third, first, second):
        stored.of(body)
    assert parsed.ids == [parse(body.encode()).id for body in (first, second, third, second)]


def test_what_a_thin_event_was_read_for_is_no_snapshot() -> None:
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.customer.subscription.updated"}
    related = {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"}
    body = orjson.dumps(thin | {"created": "2030-01-01T00:00:00Z", "related_object": related})
    assert StoredSnapshots().of(body.decode()) is None
