"""The spool: while the database is down, an event that was answered with 200 is on disk."""

import asyncio
import json
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.errors import Unavailable
from app.inbox import spool as spool_module
from app.inbox import spool_files
from app.inbox.delivery import receive
from app.inbox.spool import Spool
from app.inbox.webhook import DATABASE_TIMEOUT_SECONDS
from app.service import Service
from app.simulator import Account, Event, event_body, sign, truth
from app.simulator.render import NEW
from app.worker.worker import Worker

from ..client import SECRET, Client, running
from ..databases import PostgresServer
from ..records import stored
from ..waiting import until


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own worker would drain what a test means to look at."""
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
async def client(database_url: str, folder: Path) -> AsyncIterator[Client]:
    async with running(database_url, spool_dir=folder) as client:
        yield client


@asynccontextmanager
async def no_inbox_table(client: Client) -> AsyncIterator[None]:
    """The database refuses every event meanwhile."""
    engine = client.app.state.billing.database.engine
    for names in (("billing_event", "gone"), ("gone", "billing_event")):
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE {names[0]} RENAME TO {names[1]}"))
        if names[1] == "gone":
            yield


def signed_up(seed: int = 1) -> Account:
    account = Account(seed, start=int(time.time()) - 60)
    account.create_subscription(account.create_customer(user_id="ada"))
    return account


async def post(client: Client, event: Event) -> Any:
    return await client.post_signed(event_body(event, NEW))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.event"))


async def drain(client: Client) -> int:
    service: Service = client.app.state.billing
    return await service.spool.drain(service.inbox)


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
    folder.mkdir()
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


async def refuse_bad_events(client: Client) -> None:
    """The database refuses some events, each for a reason of its own, even as failed ones."""
    database = client.app.state.billing.database
    postgres = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON billing_event FOR EACH ROW "
        "WHEN (NEW.id LIKE 'evt_bad%') EXECUTE FUNCTION refuse()",
    )
    sqlite = (
        "CREATE TRIGGER refuse BEFORE INSERT ON billing_event WHEN NEW.id LIKE 'evt_bad%' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    async with database.engine.begin() as connection:
        for statement in postgres if database.name == "postgresql" else sqlite:
            await connection.execute(text(statement))


def signed(event_id: str) -> Any:
    body = json.dumps({"id": event_id, "type": "t", "created": 1, "data": {"object": {"id": "a"}}}).encode()
    return receive(body, signature=sign(body, SECRET, 1), received_at=1)


async def test_events_that_the_database_refuses_are_set_aside_and_come_in_once_it_takes_them(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "DRAIN_AT_ONCE", 4)
    await refuse_bad_events(client)
    ids = [f"evt_bad_{number}" for number in range(12)] + ["evt_good_1", "evt_good_2"]
    now = [0.0]
    spool = Spool(folder, secrets=[SECRET], clock=lambda: now[0])
    for event_id in ids:
        await spool.put(signed(event_id))
    inbox = client.app.state.billing.inbox
    assert await spool.drain(inbox) == 2
    assert {event["event_id"] for event in (await client.read("/internal/events"))["data"]} == set(ids[12:])
    assert (spool.contents().files, spool.contents().refused, len(spool.waiting())) == (12, 12, 12)
    async with client.app.state.billing.database.engine.begin() as connection:
        on = " ON billing_event" if connection.dialect.name == "postgresql" else ""
        await connection.execute(text(f"DROP TRIGGER refuse{on}"))
    assert await spool.drain(inbox) == 0  # not yet
    now[0] += spool_module.LOOK_AGAIN_SECONDS
    assert await spool.drain(inbox) == 12
    assert list(folder.iterdir()) == []


async def test_a_file_that_another_process_drains_meanwhile_takes_no_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, scan = Spool(folder, secrets=[SECRET]), os.scandir
    await spool.put(signed("evt_1"))
    (first,) = files(folder)

    @contextmanager
    def drained_meanwhile(path: Any) -> Iterator[Any]:
        with scan(path) as entries:
            found = list(entries)
        first.unlink(missing_ok=True)
        yield iter(found)

    monkeypatch.setattr(os, "scandir", drained_meanwhile)
    await spool.put(signed("evt_2"))
    monkeypatch.undo()
    assert len(files(folder)) == 1


async def test_the_folders_above_the_spool_are_synced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await Spool(tmp_path / "a" / "b" / "c", secrets=[SECRET]).put(signed("evt_1"))
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        assert folder.stat().st_ino in synced


async def test_a_file_is_synced_whole_before_its_rename_and_the_folder_after_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int, int]] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_ino, status.st_size, len(files(folder))))
        sync(descriptor)

    spool = Spool(folder, secrets=[SECRET])
    await spool.put(signed("evt_1"))  # makes the folder
    monkeypatch.setattr(os, "fsync", noted)
    await spool.put(signed("evt_2"))
    newest = max((file.stat() for file in files(folder)), key=lambda status: status.st_mtime_ns)
    file, directory = synced
    assert file == (newest.st_ino, newest.st_size, 1)
    assert (directory[0], directory[2]) == (folder.stat().st_ino, 2)


async def test_what_a_kill_left_half_written_is_swept_once_nobody_can_be_writing_it(
    client: Client, folder: Path
) -> None:
    folder.mkdir()
    for name, age in ((".old.tmp", spool_module.LEFTOVER_SECONDS + 60), (".new.tmp", 60)):
        (folder / name).write_bytes(b"{")
        os.utime(folder / name, (time.time() - age,) * 2)
    await drain(client)
    assert [path.name for path in folder.iterdir()] == [".new.tmp"]


async def test_a_large_spool_is_not_counted_for_each_event_and_is_still_full_at_its_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "FEW_FILES", 5)
    monkeypatch.setattr(spool_module, "MAX_FILES", 30)
    now, counted, count = [0.0], 0, spool_files.count

    def counting(folder: Path) -> spool_files.Contents:
        nonlocal counted
        counted += 1
        return count(folder)

    monkeypatch.setattr(spool_files, "count", counting)
    spool = Spool(folder, secrets=[SECRET], clock=lambda: now[0])
    for number in range(30):
        await spool.put(signed(f"evt_{number}"))
        assert spool.contents().files == number + 1
    assert counted < 12  # while there were few
    with pytest.raises(Unavailable):
        await spool.put(signed("evt_too_many"))
    assert spool.contents().bytes == sum(file.stat().st_size for file in files(folder))
    for file in files(folder)[:10]:
        file.unlink()  # as another process that drains
    now[0] += spool_module.COUNT_AGAIN_SECONDS
    spool.contents()
    await until(lambda: spool.contents().files == 20)
    await spool.put(signed("evt_more"))


async def test_while_the_database_takes_none_only_a_few_of_many_files_are_tried(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    read = spool_files.read

    def reading(file: Path, secrets: Any) -> Any:
        tried.append(file.name)
        return read(file, secrets)

    monkeypatch.setattr(spool_files, "read", reading)
    spool: Spool = client.app.state.billing.spool
    for number in range(40):
        await spool.put(signed(f"evt_{number}"))
    async with no_inbox_table(client):
        assert await drain(client) == 0
        tried.clear()
        assert await drain(client) == 0
        assert len(tried) == spool_module.TRY_AT_ONCE
    assert await drain(client) == 40
