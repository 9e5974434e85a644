"""Failed events are tried again until they are dead; old ones are pruned, except what is still needed."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import text

from app.backoff import GIVE_UP_SECONDS, next_attempt_at
from app.signals import event_signal
from app.simulator import DAY, Account, play, random_history, thin_event, truth
from app.worker.worker import LEASE_SECONDS

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock
from ..records import stored
from ..waiting import until
from .helpers import TYPE, another_worker, broken, service_of, signed_up, state_of


async def test_a_failed_event_is_applied_by_itself_once_its_handler_works(
    client: Client, clock: Clock
) -> None:
    account = signed_up()
    event = account.events[-1]
    with broken():
        assert (await client.deliver(*account.events))[-1] == "deferred"
        worker = service_of(client).worker
        assert await worker.retry_due() == 0  # not due yet
        clock.now += 6
        assert await worker.retry_due() == 1
    assert await state_of(client, event.id) == ("failed", 2)
    clock.now += 40
    assert await service_of(client).worker.retry_due() == 1
    assert await state_of(client, event.id) == ("processed", 3)
    expected = truth(account)
    assert await stored(service_of(client).database, expected) == expected


async def test_an_event_that_fails_for_three_days_is_dead_visible_and_replayed_with_one_call(
    client: Client, clock: Clock
) -> None:
    account = signed_up()
    event = account.events[-1]
    with broken():
        await client.deliver(*account.events)
        for _ in range(20):
            clock.now += DAY * 1.2
            await service_of(client).worker.retry_due()
    state, attempts = await state_of(client, event.id)
    assert (state, attempts <= 5) == ("dead", True)
    listed = await client.read("/internal/events", state="dead")
    assert [entry["last_error"] for entry in listed["data"]] == ["ValueError: not today"]
    replayed = await client.http.post(f"/internal/events/{event.id}/replay", headers=AUTH)
    assert (replayed.status_code, replayed.json()["state"]) == (200, "processed")
    expected = truth(account)
    assert await stored(service_of(client).database, expected) == expected


async def test_all_dead_events_are_replayed_by_one_filter(client: Client, clock: Clock) -> None:
    accounts = [Account(seed, start=START - 60) for seed in range(3)]
    with broken():
        for account in accounts:
            account.create_subscription(account.create_customer())
            await client.deliver(*account.events)
        for _ in range(6):
            clock.now += DAY * 1.2
            await service_of(client).worker.retry_due()
    answer = await client.http.post("/internal/events/replay", json={"state": "dead"}, headers=AUTH)
    assert answer.json() == {"replayed": 3}
    await service_of(client).worker.retry_due()
    assert (await client.read("/internal/events", state="dead"))["data"] == []
    for account in accounts:
        expected = truth(account)
        assert await stored(service_of(client).database, expected) == expected
    for bad in ({"state": "processed"}, {}, {"state": "dead", "colour": "red"}):
        assert (await client.http.post("/internal/events/replay", json=bad, headers=AUTH)).status_code == 422
    unknown = await client.http.post("/internal/events/evt_unknown/replay", headers=AUTH)
    assert unknown.status_code == 404


@pytest.mark.postgresql_in_long
async def test_a_poison_event_delays_no_other(client: Client, clock: Clock) -> None:
    account = Account(2, start=START - 60)
    for _ in range(20):
        account.create_subscription(account.create_customer())
    updates = [event.id for event in account.events if event.type == TYPE]
    with broken():
        await client.deliver(*account.events)
    clock.now += 10
    with broken(only={updates[0]}):
        assert await service_of(client).worker.retry_due() == 20
    states = [(await state_of(client, id))[0] for id in updates]
    assert states == ["failed"] + ["processed"] * 19


async def test_an_ignored_event_is_applied_when_its_type_is_handled_later(client: Client) -> None:
    charge = {"object": {"id": "ch_1", "object": "charge"}}
    own = {"id": "evt_own", "object": "event", "type": "charge.succeeded", "created": START, "data": charge}
    assert await client.send(own) == "ignored"
    seen: list[str] = []

    def handle(event: Any, unit_of_work: Any) -> None:
        seen.append(event.id)

    event_signal("charge.succeeded").connect(handle)
    chosen = {"state": "ignored", "type": "charge.succeeded"}
    await client.http.post("/internal/events/replay", json=chosen, headers=AUTH)
    await service_of(client).worker.retry_due()
    event_signal("charge.succeeded").disconnect(handle)
    assert seen == ["evt_own"]
    assert (await state_of(client, "evt_own"))[0] == "processed"


async def test_a_thin_event_waits_and_is_never_tried_nor_dead(client: Client, clock: Clock) -> None:
    account = signed_up()
    thin = thin_event(account.events[-1])
    await client.send(thin)
    clock.now += 30 * DAY
    assert await service_of(client).worker.retry_due() == 0
    assert await state_of(client, thin["id"]) == ("pending", 0)


async def test_what_a_killed_worker_had_is_taken_when_its_lease_has_run_out(
    client: Client, clock: Clock
) -> None:
    account = signed_up()
    with broken():
        await client.deliver(*account.events)
    clock.now += 10
    service = service_of(client)
    killed = another_worker(service, clock)
    assert len(await killed._take_due()) == 1
    assert await service.worker.retry_due() == 0
    clock.now += LEASE_SECONDS
    assert await service.worker.retry_due() == 1
    assert await state_of(client, account.events[-1].id) == ("processed", 2)


async def test_workers_share_what_is_due_and_none_takes_what_another_has(
    client: Client, clock: Clock
) -> None:
    account = Account(3, start=START - 60)
    for _ in range(30):
        account.create_subscription(account.create_customer())
    with broken():
        await client.deliver(*account.events)
    clock.now += 10
    service = service_of(client)
    workers = [another_worker(service, clock) for _ in range(4)]
    taken = await asyncio.gather(*(worker._take_due() for worker in workers))
    ids = [delivery.event.id for deliveries in taken for delivery in deliveries]
    assert len(ids) == len(set(ids)) == 30


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.rest_in_long(2)
async def test_events_that_failed_and_came_back_late_end_in_the_truth(
    client: Client, clock: Clock, seed: int
) -> None:
    rng, account = random.Random(seed), Account(100 + seed, start=START - 60)
    random_history(account, rng, customers=2, steps=25)
    failing = {event.id for event in account.events if rng.random() < 0.4}
    with broken(only=failing):
        await asyncio.gather(*(client.deliver(event) for event in account.events))
    for _ in range(4):
        clock.now += 10
        await service_of(client).worker.retry_due()
    expected = truth(account)
    assert await stored(service_of(client).database, expected) == expected


async def test_the_running_worker_takes_what_is_due(database_url: str) -> None:
    async with running(database_url) as client:
        account = signed_up()
        with broken():
            await client.deliver(*account.events)
        async with service_of(client).database.engine.begin() as connection:
            await connection.execute(
                text("UPDATE billing_event SET next_attempt_at = 0 WHERE state = 'failed'")
            )
        service_of(client).worker.wake()

        async def is_processed() -> bool:
            return (await state_of(client, account.events[-1].id))[0] == "processed"

        await until(is_processed)


async def test_old_events_are_pruned_but_for_what_the_order_needs(client: Client, clock: Clock) -> None:
    account = Account(5, start=START - 60)
    for name in ("renewal", "seats", "cancel_now"):
        account.now = START - 60
        play(account, name, user_id=name)
    await client.deliver(*account.events)
    service = service_of(client)
    assert await service.worker.pruner.prune_events() == 0
    clock.now += 91 * DAY
    deleted = await service.worker.pruner.prune_events()
    assert 0 < deleted < len(account.events)
    kept = {event["event_id"] for event in (await client.read("/internal/events", limit=100))["data"]}
    newest = [max(e.created for e in account.events if e.after.id == id) for id in account.subscriptions]
    for id, created in zip(account.subscriptions, newest, strict=True):
        burst = {e.id for e in account.events if e.after.id == id and e.created == created and e.type == TYPE}
        assert burst <= kept
    # A step of the newest second that comes late is still judged with the others.
    seats = next(s for s in account.subscriptions.values() if len(s.items) == 1 and s.items[0].quantity == 4)
    account.now = max(e.created for e in account.events if e.after.id == seats.id)
    account.change_quantity(seats, 9)
    await client.deliver(account.events[-1])
    assert (await client.read(f"/internal/subscriptions/{seats.id}"))["quantity"] == 9
    assert await service.worker.pruner.prune_events() == 0


async def test_a_failed_event_is_never_pruned(client: Client, clock: Clock) -> None:
    account = signed_up()
    with broken():
        await client.deliver(*account.events)
        for _ in range(3):  # no event is given up before its fourth attempt
            clock.now += 400 * DAY
            await service_of(client).worker.retry_due()
    await service_of(client).worker.pruner.prune_events()
    assert (await state_of(client, account.events[-1].id))[0] == "dead"


@pytest.mark.parametrize(
    ("attempts", "least"),
    [(1, 5), (2, 30), (3, 120), (4, 600), (5, 3600), (6, 21_600), (7, DAY), (8, DAY), (500, DAY)],
)
def test_the_waits_grow_and_are_spread(attempts: int, least: int) -> None:
    waits = {next_attempt_at(attempts, START, START, random.Random(seed)) for seed in range(200)}
    assert min(wait - START for wait in waits if wait) >= least
    assert max(wait - START for wait in waits if wait) <= least * 1.1 + 1
    assert len(waits) > 1 or least == 5


def test_after_three_days_there_is_no_next_attempt() -> None:
    rng = random.Random(1)
    assert next_attempt_at(9, START, START + GIVE_UP_SECONDS - 1, rng) is not None
    assert next_attempt_at(9, START, START + GIVE_UP_SECONDS, rng) is None
