"""Batches side by side, and what becomes of an event whose batch does not finish."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.db import Database, open_database, postgres_batch
from app.errors import Unavailable
from app.inbox import locked, transaction
from app.inbox.delivery import Delivery, receive
from app.inbox.inbox import Inbox
from app.inbox.outcome import Outcome
from app.inbox.queue import MAX_BATCH_EVENTS, WORTH_ANOTHER_BATCH
from app.inbox.unit_of_work import UnitOfWork
from app.main import create_app
from app.plans import load_catalogue
from app.reactions.outbox import Outbox
from app.service import Service

from .. import ROOT
from ..client import Client, running, settings_for
from ..limits.helpers import START
from ..waiting import LONGEST_SECONDS

PATIENCE = 0.3


def event_of(customer: str, number: int) -> Delivery:
    payload = {
        "id": f"evt_{number}",
        "object": "event",
        "type": "customer.updated",
        "created": START,
        "data": {
            "object": {
                "id": customer,
                "object": "customer",
                "email": f"{number}@example.com",
                "metadata": {"user_id": customer.replace("cus", "user")},
            }
        },
    }
    return receive(orjson.dumps(payload), signature=None, received_at=START)


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def test_a_batch_that_waits_for_a_lock_holds_up_no_other(postgres_database: str) -> None:
    async with running(postgres_database) as client:
        inbox, database = service_of(client).inbox, service_of(client).database
        async with database.session() as session:
            await database.hold(session, ["customer:cus_held"])
            held = asyncio.create_task(inbox.accept(event_of("cus_held", 0)))
            await asyncio.sleep(0)  # it is in a batch of its own before the others come
            others = [event_of(f"cus_{n}", n) for n in range(1, WORTH_ANOTHER_BATCH + 1)]
            outcomes = await asyncio.gather(*(inbox.accept(event) for event in others))
            assert {outcome.state for outcome in outcomes} == {"processed"}
            assert not held.done()
        assert (await held).state == "processed"


async def test_what_another_holds_stops_no_other_event_of_its_batch(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_batch, "PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    async with running(postgres_database) as client:
        inbox, database = service_of(client).inbox, service_of(client).database
        async with database.session() as session:
            await database.hold(session, ["customer:cus_70"])
            events = [event_of(f"cus_{number}", number) for number in range(100)]
            outcomes = await asyncio.gather(
                *(inbox.accept(event) for event in events), return_exceptions=True
            )
            held = outcomes.pop(70)
            assert isinstance(held, Unavailable)
            assert {getattr(outcome, "state", outcome) for outcome in outcomes} == {"processed"}
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'")
            assert await (await session.connection()).scalar(waiting) == 0
        assert (await inbox.accept(event_of("cus_70", 70))).state == "processed"


async def test_a_server_gives_up_what_nobody_waits_for_any_more(postgres_database: str) -> None:
    async with running(postgres_database) as client:
        database = service_of(client).database
        async with database.batch() as batch:
            await batch.begin(["customer:cus_1"])
            limits = (
                "SELECT current_setting('lock_timeout') AS lock, "
                "current_setting('statement_timeout') AS statement"
            )
            assert await batch.fetch(limits) == [{"lock": "2s", "statement": "7s"}]


@pytest.mark.parametrize("count", [2, MAX_BATCH_EVENTS * 3])
async def test_events_of_one_object_in_batches_side_by_side_are_all_counted(
    database_url: str, count: int
) -> None:
    async with running(database_url) as client:
        inbox = service_of(client).inbox
        events = [event_of("cus_1", n) for n in (*range(count), *range(count))]
        outcomes = await asyncio.gather(*(inbox.accept(event) for event in events))
        assert sum(outcome.duplicate for outcome in outcomes) == count
        assert {outcome.state for outcome in outcomes} == {"processed"}
        stored = json.dumps(await client.read("/internal/customers/cus_1"))
        assert max(f"evt_{n}" for n in range(count)).removeprefix("evt_") + "@example.com" in stored


def test_who_waits_is_answered_also_where_the_application_was_started_again(postgres_database: str) -> None:
    """On another loop: a timer of the first one would never ring."""
    app = create_app(settings_for(postgres_database))

    async def wait_in_vain(number: int) -> None:
        async with app.router.lifespan_context(app):
            inbox, database = app.state.billing.inbox, app.state.billing.database
            async with database.session() as session:
                await database.hold(session, ["customer:cus_held"])
                async with asyncio.timeout(LONGEST_SECONDS):
                    with pytest.raises(Unavailable, match="in time"):
                        await inbox.accept(event_of("cus_held", number), timeout_seconds=PATIENCE)

    for number in range(2):
        asyncio.run(wait_in_vain(number))


async def test_who_has_waited_long_enough_is_answered_and_the_event_is_stored_all_the_same(
    postgres_database: str,
) -> None:
    async with running(postgres_database) as client:
        inbox, database = service_of(client).inbox, service_of(client).database
        async with database.session() as session:
            await database.hold(session, ["customer:cus_held"])
            patient = asyncio.create_task(inbox.accept(event_of("cus_held", 1)))
            with pytest.raises(Unavailable, match="in time"):
                await inbox.accept(event_of("cus_held", 2), timeout_seconds=PATIENCE)
            assert not patient.done()
        assert (await patient).state == "processed"
        assert (await inbox.accept(event_of("cus_held", 2))).duplicate


LOCK = "SELECT id FROM {} WHERE id = :id FOR UPDATE"


@asynccontextmanager
async def locked_row(database: Database, table: str, id: str) -> AsyncIterator[None]:
    """Somebody else's transaction keeps the row locked, as a report may."""
    async with database.session() as session:
        connection = await session.connection()
        assert (await connection.execute(text(LOCK.format(table)), {"id": id})).one()
        yield


async def states(inbox: Inbox, events: Sequence[Delivery]) -> list[str]:
    """What becomes of events that come at once: a state, or `Unavailable`."""
    outcomes = await asyncio.gather(*(inbox.accept(event) for event in events), return_exceptions=True)
    return [type(each).__name__ if isinstance(each, BaseException) else each.state for each in outcomes]


@pytest.mark.parametrize(("table", "id"), [("billing_customer", "cus_7"), ("billing_user", "user_7")])
async def test_events_of_a_locked_record_are_refused_without_a_wait_and_all_others_go_on(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, table: str, id: str
) -> None:
    monkeypatch.setattr(postgres_batch, "PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    monkeypatch.setattr(locked, "TRY_AGAIN_SECONDS", LONGEST_SECONDS)
    async with running(postgres_database) as client:
        inbox, database = service_of(client).inbox, service_of(client).database
        assert set(await states(inbox, [event_of(f"cus_{n}", n) for n in range(40)])) == {"processed"}
        async with locked_row(database, table, id):
            found = await states(inbox, [event_of(f"cus_{n}", n + 1000) for n in range(40)])
            assert found.pop(7) == "Unavailable"
            assert set(found) == {"processed"}
            # Whoever waited for the lock now would wait for ever.
            monkeypatch.setattr(postgres_batch, "PATIENCE", "SET LOCAL lock_timeout = 0")
            found = await states(inbox, [event_of(f"cus_{n}", n + 2000) for n in range(40)])
            assert found.pop(7) == "Unavailable"
            assert set(found) == {"processed"}
        assert inbox.unavailable == 0  # the database takes events


@pytest.mark.parametrize(("table", "id"), [("billing_customer", "cus_7"), ("billing_user", "user_7")])
async def test_a_locked_record_is_looked_at_again_until_it_is_free(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, table: str, id: str
) -> None:
    monkeypatch.setattr(locked, "TRY_AGAIN_SECONDS", 0)
    monkeypatch.setattr(postgres_batch, "PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    async with running(postgres_database) as client:
        inbox, database = service_of(client).inbox, service_of(client).database
        assert await states(inbox, [event_of("cus_7", 7)]) == ["processed"]
        async with locked_row(database, table, id):
            for number in (17, 27, 37):
                assert await states(inbox, [event_of("cus_7", number)]) == ["Unavailable"]
                assert await states(inbox, [event_of("cus_8", number + 1)]) == ["processed"]
        assert (
            await states(inbox, [event_of("cus_7", number) for number in (17, 27, 37)]) == ["processed"] * 3
        )


async def test_a_stop_waits_for_no_event_that_its_sender_has_given_up(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database did not answer, they were refused or spooled: it may not answer for minutes more."""
    database = open_database(sqlite_database)
    outbox = Outbox(database, clock=lambda: START)
    catalogue = load_catalogue(ROOT / "plans.toml")
    inbox = Inbox(database, catalogue=catalogue, outbox=outbox, livemode=None, clock=lambda: START)
    goes_on, batches = asyncio.Event(), 0

    async def stalls(deliveries: Sequence[Delivery], *, patient: bool = True) -> list[Outcome]:
        nonlocal batches
        batches += 1
        await goes_on.wait()
        raise TimeoutError

    monkeypatch.setattr(inbox.transactions, "commit", stalls)
    inbox.start()
    sent = [inbox.accept(event_of("cus_1", number), timeout_seconds=0) for number in range(20)]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    later = [inbox.accept(event_of("cus_2", number), timeout_seconds=0) for number in range(20)]
    await asyncio.gather(*later, return_exceptions=True)
    stopping = asyncio.create_task(inbox.stop())
    goes_on.set()
    await asyncio.wait_for(stopping, LONGEST_SECONDS)
    assert batches == 1
    await database.close()


async def test_nothing_of_a_batch_is_left_to_the_garbage_collector(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[UnitOfWork]] = []

    class Seen(UnitOfWork):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    async with running(database_url) as client:
        monkeypatch.setattr(transaction, "UnitOfWork", Seen)
        gc.disable()
        try:
            await service_of(client).inbox.accept(event_of("cus_1", 1))
            await asyncio.sleep(0)
            left = [each for each in made if each() is not None]
        finally:
            gc.enable()
    assert made
    assert not left
