"""What one part does wrong is not paid for by another."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import open_database
from app.inbox.delivery import receive
from app.inbox.queue import Waiting
from app.inbox.spool import Spool
from app.main import create_app
from app.operations.replay import replay
from app.service import Service
from app.signals import event_signal, users_changed
from app.simulator import DAY, Account, sign
from app.simulator.api import API_KEY
from app.worker.worker import LEASE_SECONDS, Worker

from ..client import AUTH, SECRET, Client, running, settings_for
from ..databases import run_sql, somebody_waits_for_a_lock
from ..limits.helpers import START, Clock
from ..waiting import LONGEST_SECONDS, until

pytestmark = pytest.mark.postgresql_in_long

CUSTOMER = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "created": START,
    "data": {"object": {"id": "cus_1", "object": "customer"}},
}


async def states(client: Client) -> set[str]:
    service: Service = client.app.state.billing
    async with service.database.reading() as session:
        rows = await (await session.connection()).execute(text("SELECT DISTINCT state FROM billing_event"))
        return {row.state for row in rows}


@contextmanager
def connected(event_type: str, receiver: Any) -> Iterator[None]:
    event_signal(event_type).connect(receiver)
    try:
        yield
    finally:
        event_signal(event_type).disconnect(receiver)


async def test_a_cache_that_raises_after_the_commit_does_not_make_it_a_failure(database_url: str) -> None:
    def raising(sender: Any, *, user_ids: set[str]) -> None:
        raise LookupError("a slip")

    users_changed.connect(raising)
    try:
        async with running(database_url) as client:
            account = Account(1, start=START)
            account.create_subscription(account.create_customer(user_id="ada"), "price_team")
            assert "deferred" not in await client.deliver(*account.events)
            assert "failed" not in await states(client)
            update = {
                "customer_id": "cus_X",
                "subscription_id": "sub_X",
                "plan_id": "price_team",
                "user_id": "bob",
                "start_date": START,
                "expiry_date": START + 30 * DAY,
                "status": "active",
            }
            answer = await client.http.post("/internal/subscription/update", json=update, headers=AUTH)
            assert answer.status_code == 200
    finally:
        users_changed.disconnect(raising)


async def test_a_file_in_the_spool_that_cannot_be_read_stops_no_retry(
    database_url: str, tmp_path: Path
) -> None:
    spool, failing, clock = tmp_path / "spool", [True], Clock()
    (spool / "x.event").mkdir(parents=True)  # as good as a file of another user

    def fail(event: Any, unit_of_work: Any) -> None:
        if failing:
            raise LookupError

    with connected("customer.updated", fail):
        async with running(database_url, spool_dir=spool, clock=clock) as client:
            assert await client.send(CUSTOMER) == "deferred"
            failing.clear()
            clock.now += 3600
            client.app.state.billing.worker.wake()

            async def are_processed() -> bool:
                return await states(client) == {"processed"}

            await until(are_processed)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))


@pytest.mark.usefixtures("idle")
async def test_a_process_without_the_receiver_leaves_the_event_to_one_that_has_it(
    database_url: str,
) -> None:
    def fail(event: Any, unit_of_work: Any) -> None:
        raise LookupError

    clock = Clock()
    async with running(database_url, clock=clock) as client:
        with connected("x.custom", fail):
            assert await client.send(CUSTOMER | {"type": "x.custom"}) == "deferred"
        clock.now += 60
        assert await client.app.state.billing.worker.retry_due() == 1
        assert await states(client) == {"failed"}


@pytest.mark.usefixtures("idle")
async def test_a_second_attempt_that_comes_late_undoes_no_success(database_url: str) -> None:
    calls: list[str] = []

    def fail_but_once(event: Any, unit_of_work: Any) -> None:
        calls.append(event.id)
        if len(calls) != 2:
            raise LookupError

    clock = Clock()
    with connected("customer.updated", fail_but_once):
        async with running(database_url, clock=clock) as client:
            service: Service = client.app.state.billing
            await client.send(CUSTOMER)
            clock.now += 30
            first = await service.worker._take_due()
            clock.now += LEASE_SECONDS + 1
            second = await service.worker._take_due()
            assert len(first) == len(second) == 1
            await service.inbox.accept(first[0])
            await service.inbox.accept(second[0])
            assert await states(client) == {"processed"}
            assert len(calls) == 2


@pytest.mark.usefixtures("idle")
async def test_events_whose_secret_was_rolled_meanwhile_come_in_once_it_is_back(
    sqlite_database: str, tmp_path: Path
) -> None:
    body, now = orjson.dumps(CUSTOMER), int(time.time())
    async with running(sqlite_database, spool_dir=tmp_path) as client:
        inbox = client.app.state.billing.inbox
        event = receive(body, signature=sign(body, SECRET, now), received_at=now)
        await Spool(tmp_path, secrets=[SECRET]).put(event)
        await Spool(tmp_path, secrets=["whsec_test_another_secret"]).drain(inbox)
        assert await states(client) == set()
        assert await Spool(tmp_path, secrets=[SECRET, "whsec_test_another_secret"]).drain(inbox) == 1
        assert await states(client) == {"processed"}


@pytest.mark.usefixtures("idle")
async def test_an_event_that_the_database_refuses_is_not_put_over_one_that_was_applied(
    database_url: str,
) -> None:
    async with running(database_url, clock=Clock()) as client:
        inbox = client.app.state.billing.inbox
        assert await client.send(CUSTOMER) == "processed"
        late = receive(orjson.dumps(CUSTOMER), signature=None, received_at=START)
        waiting = Waiting(late)
        await inbox._keep_as_failed(waiting, ValueError("refused"))
        assert (await waiting.outcome).duplicate
        assert await states(client) == {"processed"}


def test_an_application_may_be_started_again_on_another_loop(database_url: str) -> None:
    """As a test client does it for each test of an application."""
    app = create_app(settings_for(database_url, stripe_api_key=SecretStr(API_KEY)))

    async def take_in(number: int) -> str:
        async with app.router.lifespan_context(app):
            inbox = app.state.billing.inbox
            event = receive(
                orjson.dumps(CUSTOMER | {"id": f"evt_{number}"}), signature=None, received_at=START
            )
            async with asyncio.timeout(LONGEST_SECONDS):
                return str((await inbox.accept(event)).state)

    assert [asyncio.run(take_in(number)) for number in range(3)] == ["processed"] * 3


async def test_an_event_that_does_not_say_what_its_object_is_overwrites_no_record(database_url: str) -> None:
    async with running(database_url) as client:
        account = Account(1, start=START)
        customer = account.create_customer(user_id="ada")
        await client.deliver(*account.events)
        nameless = {"id": customer.id, "email": "x@example.com"}
        odd = CUSTOMER | {"id": "evt_odd", "created": START - 5, "data": {"object": nameless}}
        assert await client.send(odd) == "deferred"
        assert (await client.read(f"/internal/customers/{customer.id}"))["user_id"] == "ada"


@pytest.mark.parametrize(("told", "kept"), [("off", "on"), ("local", "local")])
async def test_a_commit_waits_for_the_disk_whatever_the_database_is_configured_for(
    postgres_database: str, told: str, kept: str
) -> None:
    name = postgres_database.rpartition("/")[2]
    await run_sql(postgres_database, f"ALTER DATABASE {name} SET synchronous_commit = {told}")
    database = open_database(postgres_database)
    try:
        async with database.batch() as batch:
            await batch.begin(["event:evt_1"])
            await batch.write({}, ())
            found = await batch.fetch("SELECT current_setting('synchronous_commit') AS value")
            assert found == [{"value": kept}]
    finally:
        await database.close()


async def test_a_replay_takes_its_events_in_the_order_of_their_ids(postgres_database: str) -> None:
    """Else two of them at once could wait for each other."""
    probe = text("SELECT id FROM billing_event WHERE id = :id FOR UPDATE NOWAIT")
    hold = text("SELECT id FROM billing_event WHERE id = :id FOR UPDATE")
    async with running(postgres_database, clock=Clock()) as client:
        database = client.app.state.billing.database
        for name in ("c", "b", "a"):
            await client.send(CUSTOMER | {"id": f"evt_{name}", "type": "unknown"})
        async with database.session() as other:
            await (await other.connection()).execute(hold, {"id": "evt_b"})
            replaying = asyncio.create_task(replay(database, "ada", at=0, states=["ignored"]))
            await somebody_waits_for_a_lock(postgres_database)
            async with database.session() as third:
                await (await third.connection()).execute(probe, {"id": "evt_c"})
            with pytest.raises(DBAPIError):
                async with database.session() as third:
                    await (await third.connection()).execute(probe, {"id": "evt_a"})
        assert await replaying == 3


async def test_the_service_starts_while_another_writes_to_the_sqlite_file(sqlite_database: str) -> None:
    holder = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        async with asyncio.timeout(LONGEST_SECONDS), running(sqlite_database) as client:
            assert (await client.http.get("/healthz")).status_code == 200
    finally:
        holder.close()


async def test_the_spool_takes_events_while_receivers_block_the_loops_threads(tmp_path: Path) -> None:
    spool, free = Spool(tmp_path, secrets=[SECRET]), threading.Event()
    blocked = [asyncio.create_task(asyncio.to_thread(free.wait)) for _ in range(64)]
    try:
        await asyncio.sleep(0)
        event = receive(b'{"id": "evt_1", "type": "customer.updated"}', signature="t=1,v1=00", received_at=1)
        async with asyncio.timeout(LONGEST_SECONDS):
            await spool.put(event)
        assert len(list(tmp_path.glob("*.event"))) == 1
    finally:
        free.set()
        await asyncio.gather(*blocked)
