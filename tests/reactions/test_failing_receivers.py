"""A receiver that fails is called again and delays no other receiver."""

import asyncio
from typing import Any

import pytest

from app.backoff import GIVE_UP_SECONDS
from app.db.models import OutboxState
from app.signals import (
    Reaction,
    disconnect_durable,
    durable,
    event_signal,
    subscription_changed,
)
from app.simulator import DAY, Account

from ..client import Client
from ..limits.helpers import START, Clock
from ..waiting import LONGEST_SECONDS
from .helpers import HEARD, Listener, ada_subscribes, deliver_all, entries

pytestmark = pytest.mark.postgresql_in_long


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
