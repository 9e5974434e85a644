"""Rows that cannot be read, events without a receiver, and pruning beside retries."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.signals import event_signal
from app.simulator import DAY, Account, play, truth
from app.worker.pruning import Pruner
from app.worker.worker import Worker

from ..client import AUTH, Client
from ..limits.helpers import START, Clock
from ..records import stored
from ..waiting import until, until_idle
from .helpers import another_worker, broken, service_of, signed_up, state_of

pytestmark = pytest.mark.postgresql_in_long


async def sql(client: Client, statement: str, **values: Any) -> None:
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(text(statement), values)


async def row_of(client: Client, event_id: str) -> Any:
    async with service_of(client).database.reading() as session:
        query = text("SELECT * FROM billing_event WHERE id = :id")
        return (await (await session.connection()).execute(query, {"id": event_id})).one()


async def test_a_row_that_cannot_be_read_any_more_fails_alone_and_keeps_what_it_is(
    client: Client, clock: Clock
) -> None:
    account = signed_up()
    damaged = next(event for event in account.events if event.type == "customer.created")
    with broken(), broken("customer.created"):
        await client.deliver(*account.events)
    await sql(client, "UPDATE billing_event SET body = '{' WHERE id = :id", id=damaged.id)
    before = await row_of(client, damaged.id)
    clock.now += 6
    assert await service_of(client).worker.retry_due() == 2
    assert await state_of(client, account.events[-1].id) == ("processed", 2)
    after = await row_of(client, damaged.id)
    assert (after.state, after.attempts) == ("failed", 2)
    assert "cannot be read" in after.last_error
    kept = ("type", "object_id", "created", "api_version", "livemode", "account", "source", "body")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    for _ in range(6):
        clock.now += DAY * 1.2
        await service_of(client).worker.retry_due()
    assert (await state_of(client, damaged.id))[0] == "dead"


async def test_time_without_a_receiver_is_no_failing_and_no_attempt(client: Client, clock: Clock) -> None:
    own = {"id": "evt_own", "type": "x.custom", "object": "event", "created": START}
    with broken("x.custom"):
        assert await client.send(own | {"data": {"object": {"id": "x_1", "object": "x"}}}) == "deferred"
    for _ in range(20):
        clock.now += DAY
        await service_of(client).worker.retry_due()
    assert await state_of(client, "evt_own") == ("failed", 1)
    seen: list[str] = []

    def handle(event: Any, unit_of_work: Any) -> None:
        seen.append(event.id)

    event_signal("x.custom").connect(handle)
    clock.now += DAY
    await service_of(client).worker.retry_due()
    event_signal("x.custom").disconnect(handle)
    assert seen == ["evt_own"]
    assert await state_of(client, "evt_own") == ("processed", 2)


async def test_a_replayed_event_that_had_failed_is_not_ignored_where_its_receiver_is_not(
    client: Client, clock: Clock
) -> None:
    own = {"id": "evt_own", "type": "x.custom", "object": "event", "created": START}
    with broken("x.custom"):
        await client.send(own | {"data": {"object": {"id": "x_1", "object": "x"}}})
    await sql(client, "UPDATE billing_event SET state = 'dead'")
    await client.http.post("/internal/events/evt_own/replay", headers=AUTH)
    assert await state_of(client, "evt_own") == ("failed", 0)


async def test_a_command_leaves_what_only_the_application_knows_to_it(client: Client, clock: Clock) -> None:
    own = {"type": "x.custom", "object": "event", "created": START}
    content = {"data": {"object": {"id": "x_1", "object": "x"}}}
    await client.send(own | content | {"id": "evt_ignored"})
    with broken("x.custom"):
        await client.send(own | content | {"id": "evt_failed"})
    account = signed_up()
    with broken():
        await client.deliver(*account.events)
    await client.http.post("/internal/events/replay", json={"state": "ignored"}, headers=AUTH)
    before = [await row_of(client, id) for id in ("evt_ignored", "evt_failed")]
    clock.now += 60
    worker = another_worker(service_of(client), clock)
    worker.leave_unknown()
    await until_idle(worker.retry_due)
    assert [await row_of(client, id) for id in ("evt_ignored", "evt_failed")] == before
    assert await state_of(client, account.events[-1].id) == ("processed", 2)


async def test_retries_do_not_wait_for_the_pruning(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, account, pruned = service_of(client), Account(1, start=START), asyncio.Event()

    async def prune(pruner: Pruner) -> int:
        await pruned.wait()
        return 0

    monkeypatch.setattr(Pruner, "prune_events", prune)
    with broken():
        play(account, "sign_up", user_id="ada")
        assert "deferred" in await client.deliver(*account.events)
    clock.now += 60
    pruner = Pruner(service.database, retention_days=90, clock=clock)
    worker = Worker(service.database, service.inbox, service.spool, service.alerts, pruner, clock=clock)
    working = asyncio.create_task(worker._work_until_stopped())

    async def is_stored() -> bool:
        return await stored(service.database, truth(account)) == truth(account)

    await until(is_stored)
    pruned.set()
    worker.stop()
    await working


async def test_a_short_retention_keeps_what_a_catch_up_may_list_again(client: Client, clock: Clock) -> None:
    service, account = service_of(client), Account(1, start=START)
    play(account, "renewal", user_id="ada")
    await client.deliver(*account.events)
    pruner = Pruner(service.database, retention_days=1, clock=clock)
    clock.now += 29 * DAY
    assert await pruner.prune_events() == 0
    clock.now += 2 * DAY
    assert await pruner.prune_events() > 0
