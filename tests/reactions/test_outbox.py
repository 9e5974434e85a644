"""The outbox: leases, two processes, plain receivers and pruning."""

import asyncio
import threading
import time
from typing import Any

import pytest

from app.db.models import OutboxState
from app.reactions.outbox import LEASE_MARGIN_SECONDS, Outbox
from app.signals import (
    DURABLE_TIMEOUT_SECONDS,
    Reaction,
    durable,
    subscription_ended,
)
from app.simulator import DAY, Account, play

from ..client import Client, running
from ..limits.helpers import START, Clock
from ..waiting import until
from .helpers import Listener, ada_subscribes, deliver_all, entries, service_of

pytestmark = pytest.mark.postgresql_in_long


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
        # The worker announces the user's new state by itself, before or after these.
        announced = ["subscription_activated", "subscription_changed", "subscription_changed"]
        await until(
            lambda: (
                sorted(each for each in listener.signals() if each.startswith("subscription_")) == announced
            )
        )


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
