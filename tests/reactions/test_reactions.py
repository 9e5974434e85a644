"""After the commit: each receiver gets each reaction, once, and delays no other receiver."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.backoff import GIVE_UP_SECONDS
from app.db.models import OutboxEntry, OutboxState
from app.reactions.outbox import LEASE_MARGIN_SECONDS, Outbox
from app.service import Service
from app.signals import (
    DURABLE_TIMEOUT_SECONDS,
    Reaction,
    disconnect_durable,
    durable,
    event_signal,
    reactions,
    subscription_changed,
    subscription_ended,
)
from app.simulator import DAY, NEW, Account, event_body, play
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock
from ..waiting import LONGEST_SECONDS, until, until_idle

pytestmark = pytest.mark.postgresql_in_long

HEARD = [signal for name, signal in reactions.items()]


class Listener:
    """A durable receiver of everything, which a test may let raise or hang."""

    def __init__(self, name: str = "listener") -> None:
        self.name = name
        self.heard: list[Reaction] = []
        self.behave: Callable[[Reaction], Any] | None = None

    async def __call__(self, reaction: Reaction) -> None:
        if self.behave is not None:
            result = self.behave(reaction)
            if result is not None:
                await result
        self.heard.append(reaction)

    def signals(self) -> list[str]:
        return [reaction.signal for reaction in self.heard]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    for signal in HEARD:
        durable(signal, listener, name=listener.name)
    yield listener
    for signal in HEARD:
        disconnect_durable(signal, listener.name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    # The service's own tasks would deliver what a test means to.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def ada_subscribes(client: Client) -> None:
    account = Account(1, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    await client.deliver(*account.events)


async def deliver_all(client: Client, listener: Listener) -> None:
    await until_idle(lambda: service_of(client).outbox.deliver_due(listener.name))


async def entries(client: Client) -> list[OutboxEntry]:
    async with service_of(client).database.reading() as session:
        return list(await session.exec(select(OutboxEntry).order_by(OutboxEntry.id)))


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


async def test_what_a_handler_announced_before_it_raised_is_not_told(
    client: Client, listener: Listener
) -> None:
    def raising(event: Any, unit_of_work: Any) -> None:
        raise ValueError("after the handler")

    signal = event_signal("customer.subscription.created")
    signal.connect(raising)
    try:
        account = Account(1, start=START - 60)
        account.create_subscription(account.create_customer(user_id="ada"), "price_team")
        created = [event for event in account.events if event.type == "customer.subscription.created"]
        await client.deliver(*created)
    finally:
        signal.disconnect(raising)
    assert await entries(client) == []


async def test_a_receiver_that_raises_is_called_again_and_harms_nobody_else(
    client: Client, listener: Listener, clock: Clock
) -> None:
    other = Listener("other")
    durable(subscription_changed, other, name=other.name)
    attempts = []

    def refuse(reaction: Reaction) -> None:
        attempts.append(reaction.id)
        raise ConnectionError("the other side is down")

    listener.behave = refuse
    try:
        await ada_subscribes(client)
        await deliver_all(client, listener)
        await deliver_all(client, other)
        assert other.signals() == ["subscription_changed"] * 2
        assert (await client.read("/internal/users/ada"))["subscriptions"][0]["status"] == "active"
        assert sorted(attempts) == sorted({*attempts})
        waiting = [entry for entry in await entries(client) if entry.receiver == listener.name]
        assert {entry.state for entry in waiting} == {OutboxState.PENDING}
        assert {entry.last_error for entry in waiting} == {"ConnectionError: the other side is down"}
        listener.behave = None
        await deliver_all(client, listener)
        assert listener.heard == []  # not before its time
        clock.now += 10
        await deliver_all(client, listener)
        assert sorted(each.id for each in listener.heard) == sorted(attempts)
    finally:
        disconnect_durable(subscription_changed, other.name)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_a_receiver_that_would_end_the_process_has_failed_like_any_other(
    client: Client, listener: Listener, error: BaseException
) -> None:
    def refuse(reaction: Reaction) -> None:
        raise error

    listener.behave = refuse
    await ada_subscribes(client)
    await deliver_all(client, listener)
    found = await entries(client)
    assert {(entry.state, entry.attempts) for entry in found} == {(OutboxState.PENDING, 1)}
    assert all((entry.last_error or "").startswith(type(error).__name__) for entry in found)


async def test_what_is_kept_of_a_receivers_error_has_no_address_and_no_data_of_the_reaction(
    client: Client, listener: Listener
) -> None:
    def refuse(reaction: Reaction) -> None:
        reaction.facts["reason"] = "Ada Lovelace has no card"
        raise LookupError(f"https://hooks.test/T0/secret-token said no to {reaction.facts}")

    listener.behave = refuse
    await ada_subscribes(client)
    await deliver_all(client, listener)
    found = await entries(client)
    assert found
    for entry in found:
        assert entry.last_error is not None
        assert entry.last_error.startswith("LookupError: [redacted] said no to ")
        assert "secret-token" not in entry.last_error
        assert "Ada" not in entry.last_error


async def test_a_receiver_that_hangs_is_cut_off_and_called_again(
    client: Client, listener: Listener, clock: Clock
) -> None:
    for signal in HEARD:
        disconnect_durable(signal, listener.name)
        durable(signal, listener, name=listener.name, timeout=0.3)
    listener.behave = lambda reaction: asyncio.Event().wait()
    await ada_subscribes(client)
    async with asyncio.timeout(LONGEST_SECONDS):
        await deliver_all(client, listener)
    assert {entry.last_error for entry in await entries(client)} == {"It took longer than 0.3 s."}
    listener.behave = None
    clock.now += 10
    await deliver_all(client, listener)
    assert set(listener.signals()) == {"subscription_changed", "subscription_activated"}


async def test_a_receiver_that_never_succeeds_is_given_up_after_three_days(
    client: Client, listener: Listener, clock: Clock
) -> None:
    def refuse(reaction: Reaction) -> None:
        raise ConnectionError

    listener.behave = refuse
    await ada_subscribes(client)
    for _ in range(12):
        await deliver_all(client, listener)
        clock.now += DAY
    assert {entry.state for entry in await entries(client)} == {OutboxState.DEAD}
    assert clock.now - START > GIVE_UP_SECONDS


async def test_what_a_killed_process_had_is_delivered_when_its_lease_has_run_out(
    client: Client, listener: Listener, clock: Clock
) -> None:
    """Killed while the receiver ran: the call was begun, and nobody noted its end."""
    await ada_subscribes(client)
    called = asyncio.Event()

    def hang(reaction: Reaction) -> Any:
        called.set()
        return asyncio.Event().wait()

    listener.behave = hang
    killed = asyncio.create_task(service_of(client).outbox.deliver_due(listener.name))
    await called.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    listener.behave = None
    assert await service_of(client).outbox.deliver_due(listener.name) == 0
    clock.now += int(DURABLE_TIMEOUT_SECONDS) + LEASE_MARGIN_SECONDS
    await deliver_all(client, listener)
    assert set(listener.signals()) == {"subscription_changed", "subscription_activated"}


async def test_who_overslept_its_lease_takes_back_nothing_that_another_has_delivered(
    client: Client, listener: Listener, clock: Clock
) -> None:
    slow = Outbox(service_of(client).database, clock=clock)

    async def oversleep(reaction: Reaction) -> None:
        listener.behave = None
        clock.now += DURABLE_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS + 1
        await deliver_all(client, listener)
        raise ConnectionError("too late to matter")

    listener.behave = oversleep
    account = Account(1, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada"))
    await client.deliver(*account.events)
    await slow.deliver_due(listener.name)
    assert {entry.state for entry in await entries(client)} == {OutboxState.DONE}


@pytest.mark.long
async def test_two_processes_share_what_is_due(client: Client, listener: Listener) -> None:
    account = Account(3, start=START - 60)
    for number in range(30):
        account.create_subscription(account.create_customer(user_id=f"user_{number}"))
    await client.deliver(*account.events)
    outboxes = [Outbox(service_of(client).database, clock=service_of(client).clock) for _ in range(3)]
    for _ in range(4):
        await asyncio.gather(*(outbox.deliver_due(listener.name) for outbox in outboxes))
    ids = [each.id for each in listener.heard]
    assert len(ids) == len(set(ids)) == 90


async def test_a_running_service_delivers_by_itself(database_url: str, listener: Listener) -> None:
    async with running(database_url) as client:
        account = Account(1, start=int(time.time()) - 60)
        account.create_subscription(account.create_customer(user_id="ada"), "price_team")
        await client.deliver(*account.events)
        await until(lambda: len(listener.heard) == 3)


async def test_plain_receivers_run_at_once_and_none_harms_another(client: Client) -> None:
    heard: list[str] = []
    release = threading.Event()
    called = threading.Event()

    def hanging(reaction: Reaction) -> None:
        called.set()
        release.wait(30)

    def raising(reaction: Reaction) -> None:
        raise ValueError("mine")

    async def raising_later(reaction: Reaction) -> None:
        raise ValueError("mine too")

    def listening(reaction: Reaction) -> None:
        heard.append(f"sync {reaction.signal}")

    async def listening_async(reaction: Reaction) -> None:
        heard.append(f"async {reaction.signal}")

    receivers = (hanging, raising, raising_later, listening, listening_async)
    for receiver in receivers:
        subscription_ended.connect(receiver)
    try:
        account = Account(1, start=START - 60)
        play(account, "cancel_now", user_id="ada")
        await client.deliver(*account.events)
        await until(lambda: len(heard) == 2 and called.is_set())
        assert sorted(heard) == ["async subscription_ended", "sync subscription_ended"]
        assert (await client.read("/internal/users/ada"))["subscriptions"][0]["status"] == "canceled"
    finally:
        release.set()
        for receiver in receivers:
            subscription_ended.disconnect(receiver)


async def test_plain_receivers_that_would_end_the_process_are_called_again(client: Client) -> None:
    called: list[str] = []

    def quitting(reaction: Reaction) -> None:
        called.append("sync")
        raise SystemExit(3)

    async def quitting_later(reaction: Reaction) -> None:
        called.append("async")
        raise SystemExit(3)

    receivers = (quitting, quitting_later)
    for receiver in receivers:
        subscription_ended.connect(receiver)
    try:
        for seed, user in enumerate(("ada", "bob")):
            account = Account(seed, start=START - 60)
            play(account, "cancel_now", user_id=user)
            await client.deliver(*account.events)
        await until(lambda: sorted(called) == ["async", "async", "sync", "sync"])
    finally:
        for receiver in receivers:
            subscription_ended.disconnect(receiver)


def test_only_a_receiver_that_can_be_cut_off_may_be_durable() -> None:
    def blocking(reaction: Reaction) -> None: ...

    with pytest.raises(TypeError, match=r"asyncio\.to_thread"):
        durable(subscription_ended, blocking)  # type: ignore[arg-type]


async def test_delivered_entries_are_pruned_and_others_stay(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await ada_subscribes(client)
    clock.now += 91 * DAY
    assert await service_of(client).worker.pruner.prune_outbox() == 0
    await deliver_all(client, listener)
    assert await service_of(client).worker.pruner.prune_outbox() == 3
    assert await entries(client) == []
