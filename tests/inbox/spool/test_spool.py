"""The spool: while the database is down, an event that was answered with 200 is on disk."""

import asyncio
import json
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app.inbox import spool as spool_module
from app.inbox import spool_files
from app.inbox.webhook import DATABASE_TIMEOUT_SECONDS
from app.simulator import Account, Event, event_body, truth
from app.simulator.render import NEW

from ...client import Client, running
from ...databases import PostgresServer
from ...records import stored
from ...waiting import LONGEST_SECONDS
from .helpers import drain, files, no_inbox_table


def signed_up(seed: int = 1) -> Account:
    account = Account(seed, start=int(time.time()) - 60)
    account.create_subscription(account.create_customer(user_id="ada"))
    return account


async def post(client: Client, event: Event) -> Any:
    return await client.post_signed(event_body(event, NEW))


async def test_events_wait_on_disk_and_are_drained_when_the_database_is_back(
    client: Client, folder: Path
) -> None:
    account = signed_up()
    async with no_inbox_table(client):
        answers = [await post(client, event) for event in account.events]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["status"] for answer in answers} == {"deferred"}
        assert len(files(folder)) == len(account.events)
        assert {stat.S_IMODE(file.stat().st_mode) for file in files(folder)} == {0o600}
        assert await drain(client) == 0
        assert len(files(folder)) == len(account.events)
    assert await drain(client) == len(account.events)
    assert files(folder) == []
    expected = truth(account)
    assert await stored(client.app.state.billing.database, expected) == expected


async def test_an_event_that_came_twice_is_one_file_and_draining_twice_does_no_harm(
    client: Client, folder: Path, database_url: str
) -> None:
    account = signed_up()
    body = event_body(account.events[0], NEW)
    async with no_inbox_table(client):
        await asyncio.gather(*(client.post_signed(body) for _ in range(5)))
    kept = files(folder)
    assert 1 <= len(kept) <= 2  # one for each second in which it was signed
    async with running(database_url, spool_dir=folder) as other:
        await asyncio.gather(*(drain(each) for each in (client, other, client)))
    assert files(folder) == []
    assert len((await client.read("/internal/events"))["data"]) == 1


async def test_a_full_spool_is_503_with_retry_after(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MAX_FILES", 2)
    async with no_inbox_table(client):
        answers = [await post(client, event) for event in signed_up().events[:3]]
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len(files(folder)) == 2


async def test_a_spool_that_cannot_be_written_is_503(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    async with running(database_url, spool_dir=tmp_path / "spool") as client:
        async with no_inbox_table(client):
            assert (await post(client, signed_up().events[0])).status_code == 503
        assert (await post(client, signed_up().events[0])).status_code == 200


@pytest.mark.parametrize("tamper", ["body", "signature", "nonsense"])
async def test_a_file_that_stripe_did_not_sign_never_reaches_the_inbox(
    client: Client, folder: Path, tamper: str
) -> None:
    async with no_inbox_table(client):
        await post(client, signed_up().events[0])
    file = files(folder)[0]
    head, _, body = file.read_bytes().partition(b"\n")
    if tamper == "signature":
        head = json.dumps({"signature": "t=1,v1=abc", "received_at": 1}).encode()
    file.write_bytes(b"nonsense" if tamper == "nonsense" else head + b"\n" + body + b" " * (tamper == "body"))
    await drain(client)
    assert (await client.read("/internal/events"))["data"] == []
    assert [path.suffix for path in folder.iterdir()] == [".rejected"]


async def test_what_a_crash_left_half_written_is_passed_over(client: Client, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / ".half.tmp").write_bytes(b'{"signature"')
    assert await drain(client) == 0
    assert [path.name for path in folder.iterdir()] == [".half.tmp"]


@pytest.mark.real_time_limits
async def test_a_sqlite_file_that_another_holds_makes_webhooks_wait_three_seconds_at_most(
    sqlite_database: str, folder: Path
) -> None:
    async with running(sqlite_database, spool_dir=folder) as client:
        holder = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        answer = await post(client, signed_up().events[0])
        waited = time.monotonic() - began
        holder.execute("ROLLBACK")
        holder.close()
        assert (answer.status_code, answer.json()["status"]) == (200, "deferred")
        assert waited >= DATABASE_TIMEOUT_SECONDS - 0.1  # and not until the lock was free: it never was
        assert len(files(folder)) == 1
        assert await drain(client) == 1
        assert len((await client.read("/internal/events"))["data"]) == 1


@pytest.mark.long
async def test_the_service_starts_and_takes_events_while_postgresql_is_down(folder: Path) -> None:
    server = PostgresServer()
    server.start()
    try:
        from app.db.migrations import migrate

        await asyncio.to_thread(migrate, server.url)
        await asyncio.to_thread(server.kill9)
        account = signed_up()
        async with running(server.url, spool_dir=folder) as client:
            ready = await client.http.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            for event in account.events:
                assert (await post(client, event)).status_code == 200
            await asyncio.to_thread(server.start)
            assert await drain(client) == len(account.events)
            expected = truth(account)
            assert await stored(client.app.state.billing.database, expected) == expected
            assert (await client.http.get("/readyz")).json()["status"] == "ready"
    finally:
        await asyncio.to_thread(server.remove)


async def test_a_disk_that_does_not_answer_holds_up_no_webhook_no_metrics_and_no_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one on a network may not for hours."""
    await client.app.state.billing.readiness()  # the look of the start is over
    answers = threading.Event()

    def hangs(*_: object) -> None:
        answers.wait(LONGEST_SECONDS)

    with monkeypatch.context() as hanging:
        hanging.setattr(spool_module, "DISK_SECONDS", 0.05)
        for work in ("write", "names", "count"):
            hanging.setattr(spool_files, work, hangs)
        try:
            async with asyncio.timeout(LONGEST_SECONDS / 2), no_inbox_table(client):
                assert (await post(client, signed_up().events[0])).status_code == 503
                metrics = await client.get("/metrics")
                assert metrics.status_code == 200 and "\nbilling_spool_bytes " not in metrics.text
                with pytest.raises(TimeoutError):
                    await drain(client)
        finally:
            answers.set()
