"""The metrics: what is counted, and who may read it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app import limits
from app.db.base import COUNT_UP
from app.db.postgres import PostgresDatabase
from app.simulator import NEW, event_body
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import Clock
from ..worker.helpers import broken, signed_up
from .metrics_samples import Samples, samples, value

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(
    database_url: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    # Neither takes events nor empties the cache beside a test.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(PostgresDatabase, "listen", lambda database, changed: asyncio.sleep(0))
    async with running(database_url, clock=clock, spool_dir=tmp_path / "spool") as client:
        yield client


async def scrape(client: Client) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    return samples(response.text)


class Grown:
    """By how much each number has grown since this was made: the counters belong to the whole process."""

    def __init__(self, before: Samples, after: Samples) -> None:
        self._before, self._after = before, after

    def __call__(self, name: str, **labels: str) -> float:
        return value(self._after, name, **labels) - value(self._before, name, **labels)


async def test_events_are_counted_by_answer_batch_and_lag(client: Client, clock: Clock) -> None:
    before = await scrape(client)
    account = signed_up()
    statuses = await client.deliver(*account.events)
    applied = [event for event, status in zip(account.events, statuses, strict=True) if status == "processed"]
    count = len(applied)
    assert count == len(account.events)
    ignored = orjson.loads(event_body(account.events[0], NEW)) | {"id": "evt_ignored", "type": "payout.paid"}
    assert await client.send(ignored) == "ignored"
    await client.deliver(account.events[0])
    assert (await client.post_signed(b"{}", secret="whsec_test_wrong")).status_code == 400
    grown = Grown(before, await scrape(client))
    assert grown("billing_webhook_answers_total", status="200", result="processed") == count
    assert grown("billing_webhook_answers_total", status="200", result="duplicate") == 1
    assert grown("billing_webhook_answers_total", status="400", result="invalid_signature") == 1
    assert grown("billing_batch_events_sum") == len(account.events) + 2
    assert grown("billing_batch_seconds_count") == grown("billing_batch_events_count") > 0
    assert grown("billing_events_total", state="processed") == count
    assert grown("billing_event_lag_seconds_count") == count
    assert grown("billing_event_lag_seconds_sum") == sum(clock() - each.created for each in applied)


async def test_what_is_not_finished_is_counted_with_its_age(client: Client, clock: Clock) -> None:
    account = signed_up()
    with broken():
        before = await scrape(client)
        await client.deliver(*account.events)
        clock.now += 6
        assert await client.app.state.billing.worker.retry_due() == 1
        clock.now += 100
        failed = await scrape(client)
    assert value(failed, "billing_inbox_events", state="failed") == 1
    assert value(failed, "billing_inbox_events", state="dead") == 0
    assert value(failed, "billing_inbox_oldest_seconds", state="failed") == 106
    assert value(failed, "billing_inbox_oldest_seconds", state="dead") == 0
    assert Grown(before, failed)("billing_event_retries_total", state="failed") == 1
    for _ in range(2):  # no event is given up before its fourth attempt, however far the clock jumps
        clock.now += 4 * 86_400
        with broken():
            assert await client.app.state.billing.worker.retry_due() == 1
    dead = await scrape(client)
    assert value(dead, "billing_inbox_events", state="dead") == 1
    assert Grown(failed, dead)("billing_events_total", state="dead") == 1


async def test_the_outbox_and_what_needs_a_refresh_are_counted(client: Client, clock: Clock) -> None:
    database = client.app.state.billing.database
    columns = "(id, signal, receiver, reaction, created_at, state, attempts, next_attempt_at)"
    async with database.session() as session:
        connection = await session.connection()
        for id, state, age in (
            ("a", "pending", 30),
            ("b", "pending", 90),
            ("c", "dead", 500),
            ("d", "done", 1),
        ):
            row = {"id": id, "state": state, "at": int(clock()) - age}
            values = "(:id, 'plan_changed', 'mail', '{}', :at, :state, 0, 0)"
            await connection.execute(text(f"INSERT INTO billing_outbox {columns} VALUES {values}"), row)
    await client.deliver(*signed_up().events)
    async with database.session() as session:
        await (await session.connection()).execute(
            text("UPDATE billing_subscription SET needs_refresh = true")
        )
    found = await scrape(client)
    assert value(found, "billing_outbox_entries", state="pending") == 2
    assert value(found, "billing_outbox_oldest_seconds", state="pending") == 90
    assert value(found, "billing_outbox_entries", state="dead") == 1
    assert value(found, "billing_outbox_oldest_seconds", state="dead") == 500
    assert value(found, "billing_needs_refresh", kind="subscription") == 1
    assert value(found, "billing_needs_refresh", kind="customer") == 0


async def test_decisions_are_counted_by_feature_and_reason_each_once(client: Client) -> None:
    before = await scrape(client)
    entitlements = await limits.load("ada")
    for _ in range(3):
        assert entitlements.allows("projects")
        assert not entitlements.allows("sso")
        assert not entitlements.check("projects", used=3)
    assert entitlements.check("projects", used=0)
    database = client.app.state.billing.database
    async with database.session() as session:
        await limits.consume(session, "ada", "projects")
        await limits.release(session, "ada", "projects")  # a release is no decision
    with pytest.raises(limits.LimitExceeded):
        async with database.session() as session:
            await limits.consume(session, "ada", "projects", 99)
    await client.read("/internal/users/ada/entitlements")  # shows, and lets nobody do anything
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_decisions_total", feature="projects", reason="ok") == 3 + 1 + 1
    assert grown("billing_limit_decisions_total", feature="projects", reason="limit_reached") == 3 + 1
    assert grown("billing_limit_decisions_total", feature="sso", reason="not_in_plan") == 3


async def test_the_cache_tells_its_hits_and_how_old_they_were(client: Client, clock: Clock) -> None:
    before = await scrape(client)
    await limits.load("ada")
    clock.now += 2
    await limits.load("ada")
    clock.now += 4
    await limits.load("ada")
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_cache_answers_total", result="miss") == 1
    assert grown("billing_limit_cache_answers_total", result="hit") == 2
    assert grown("billing_limit_cache_age_seconds_total") == 2 + 6


async def test_a_taking_that_finds_its_memory_outdated_is_counted(client: Client) -> None:
    service = client.app.state.billing
    await limits.load("ada")
    async with service.database.session() as session:  # another process gives her an override
        await (await session.connection()).execute(text(COUNT_UP), {"id": "ada"})
    before = await scrape(client)
    async with service.database.session() as session:
        await limits.consume(session, "ada", "projects")
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_cache_outdated_total") == 1
    assert grown("billing_limit_decisions_total", feature="projects", reason="ok") == 1


async def test_while_the_database_is_down_the_spool_is_counted_and_the_databases_content_is_left_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = client.app.state.billing.database
    before = await scrape(client)

    def down(*_: object) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(database, "batch", down)
    monkeypatch.setattr(database, "reading", down)
    monkeypatch.setattr(database, "is_unavailable", lambda error: True)
    assert await client.deliver(signed_up().events[0]) == ["deferred"]
    found = await scrape(client)
    assert value(found, "billing_database_up") == 0
    assert not any(name.startswith("billing_inbox") for name, _ in found)
    assert value(found, "billing_spool_files", kind="waiting") == 1
    assert value(found, "billing_spool_bytes") > 500
    grown = Grown(before, found)
    assert grown("billing_spooled_events_total") == 1
    assert grown("billing_batch_failures_total") == 1


async def test_who_can_take_no_event_is_counted_as_503(sqlite_database: str) -> None:
    async with running(sqlite_database, clock=Clock()) as client:
        before = await scrape(client)
        database = client.app.state.billing.database
        async with database.engine.begin() as connection:
            await connection.execute(text("DROP TABLE billing_event"))
        body = event_body(signed_up().events[0], NEW)
        assert (await client.post_signed(body)).status_code == 503
        grown = Grown(before, await scrape(client))
    assert grown("billing_webhook_answers_total", status="503", result="service_unavailable") == 1
