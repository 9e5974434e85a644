"""Readiness: an event could be made durable now, in database or spool; else why, and what to do."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.inbox import spool_files
from app.service import Service
from app.simulator import NEW, Account, event_body
from app.worker.worker import Worker
from tests.client import Client, running
from tests.databases import run_sql
from tests.disks import fill, small_disk
from tests.waiting import until

pytestmark = pytest.mark.postgresql_in_long

NOWHERE = "postgresql://ada:secret-password@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own worker would drain what a test means to look at."""
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request sees what is so now; the cache has a test of its own."""
    monkeypatch.setattr("app.inbox.readiness.CHECK_AGAIN_SECONDS", -1)


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with running(database_url, spool_dir=tmp_path / "spool", livemode=False) as client:
        await readyz(client)  # else a test's own question may be answered by the trial of the start
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def readyz(client: Client) -> tuple[int, str, str]:
    """The status code, the status, and all that is said."""
    answer = await client.http.get("/readyz")
    body = answer.json()
    said = body["detail"] if answer.status_code == 503 else " ".join(body["notes"])
    return answer.status_code, str(body["status"]), said


async def says(client: Client, words: str) -> bool:
    _, _, said = await readyz(client)
    return words in said


async def database_up(client: Client) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("billing_database_up ")))


async def write_over_the_pool(client: Client) -> None:
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(text("UPDATE billing_event SET attempts = attempts"))


def bodies(count: int) -> list[bytes]:
    account = Account(3, start=1_893_456_000)
    for _ in range(count):
        account.create_customer()
    return [event_body(event, NEW) for event in account.events]


async def test_a_service_that_works_is_ready_and_the_trial_leaves_nothing(
    client: Client, tmp_path: Path
) -> None:
    for _ in range(3):
        assert await readyz(client) == (200, "ready", "")
    assert await database_up(client) == 1
    assert (await client.read("/internal/events"))["data"] == []
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("spool", [True, False])
async def test_a_database_that_became_read_only_in_a_failover_is_named_and_found_again(
    postgres_database: str, tmp_path: Path, spool: bool
) -> None:
    folder = tmp_path / "spool" if spool else None
    async with running(postgres_database, spool_dir=folder, livemode=False) as client:
        first, second, third = bodies(3)
        assert (await client.post_signed(first)).json()["status"] == "processed"
        name = postgres_database.rpartition("/")[2]
        await run_sql(
            postgres_database,
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        # A trial that was under way when its connection was ended says that instead.
        await until(lambda: says(client, "read-only"))
        code, _, said = await readyz(client)
        assert code == (200 if spool else 503)
        assert "point DATABASE_URL at the primary" in said
        assert await database_up(client) == 0
        answer = await client.post_signed(second)
        assert answer.status_code == (200 if spool else 503)
        with pytest.raises(DBAPIError):
            await write_over_the_pool(client)
        # The connections of then stay open, and read-only: what comes later must go over new ones.
        await run_sql(
            postgres_database,
            "SET default_transaction_read_only = off",
            f'ALTER DATABASE "{name}" RESET default_transaction_read_only',
        )
        assert (await client.post_signed(third)).json()["status"] == "processed"
        assert await readyz(client) == (200, "ready", "")
        assert await database_up(client) == 1
        # The internal API's pool has such connections, too.
        await write_over_the_pool(client)


async def test_a_full_disk_of_the_sqlite_file_is_named_with_path_and_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * 1024 * 1024) as disk:
        async with running(f"sqlite:///{disk / 'app.db'}", spool_dir=tmp_path / "spool") as client:
            assert (await readyz(client))[:2] == (200, "ready")
            filling = fill(disk)
            code, status, said = await readyz(client)
            assert (code, status) == (200, "degraded")
            assert f"The SQLite file {disk / 'app.db'} cannot be written, as its disk is full" in said
            assert f"mounted at {disk}" in said and "free space there" in said
            assert await database_up(client) == 0
            (body,) = bodies(1)
            assert (await client.post_signed(body)).json()["status"] == "deferred"
            filling.unlink()
            assert (await readyz(client))[:2] == (200, "ready")


async def test_a_full_disk_of_the_spool_is_named_with_path_and_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        async with running(NOWHERE, spool_dir=disk / "spool") as client:
            assert (await readyz(client))[:2] == (200, "degraded")
            answers = [(await client.post_signed(body)).status_code for body in bodies(40)]
            assert set(answers) == {200, 503}
            code, _, said = await readyz(client)
            assert code == 503
            assert f"The spool {disk / 'spool'} (the disk mounted at {disk}, " in said
            assert "the disk or a quota is full: free space there, or set SPOOL_DIR" in said
            assert "DATABASE_URL" in said
            assert "secret-password" not in said


async def test_a_disk_that_does_not_sync_is_named_and_stops_nothing_while_the_database_works(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folder = tmp_path / "spool"
    async with running(database_url, spool_dir=folder, livemode=False) as client:
        monkeypatch.setattr(os, "fsync", fail)
        code, status, said = await readyz(client)
        assert (code, status) == (200, "ready")
        assert f"The spool {folder}" in said and "EIO" in said and "set SPOOL_DIR" in said
    async with running(NOWHERE, spool_dir=folder, livemode=False) as client:
        code, _, said = await readyz(client)
        assert code == 503
        assert "EIO" in said and "DATABASE_URL" in said
        (body,) = bodies(1)
        assert (await client.post_signed(body)).status_code == 503
    assert [file.name for file in folder.iterdir()] == []


async def test_a_database_that_lacks_a_migration_is_not_ready_though_the_spool_takes_events(
    empty_postgres_database: str, tmp_path: Path
) -> None:
    async with running(empty_postgres_database, spool_dir=tmp_path / "spool") as client:
        code, _, said = await readyz(client)
        assert code == 503
        assert "The database is at migration none" in said and "app migrate" in said
        (body,) = bodies(1)
        assert (await client.post_signed(body)).json()["status"] == "deferred"


async def test_a_database_that_a_newer_release_has_migrated_is_ready_with_a_note(
    client: Client, database_url: str, tmp_path: Path
) -> None:
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(
            text("UPDATE billing_alembic_version SET version_num = '9999'")
        )
    code, status, said = await readyz(client)
    assert (code, status) == (200, "ready")
    assert "at migration 9999, newer than" in said
    async with running(database_url, spool_dir=tmp_path / "spool") as started_on_it:
        (body,) = bodies(1)
        assert (await started_on_it.post_signed(body)).json()["status"] == "processed"


async def test_what_batches_show_meanwhile_is_not_hidden_by_the_cache(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.inbox.readiness.CHECK_AGAIN_SECONDS", 1_000)
    async with running(database_url, spool_dir=tmp_path / "spool") as client:
        assert (await readyz(client))[1] == "ready"
        first, second = bodies(2)
        for name, other, body, status in (
            ("billing_event", "gone", first, "degraded"),
            ("gone", "billing_event", second, "ready"),
        ):
            async with service_of(client).database.engine.begin() as connection:
                await connection.execute(text(f"ALTER TABLE {name} RENAME TO {other}"))
            assert (await client.post_signed(body)).status_code == 200
            assert (await readyz(client))[1] == status


async def test_no_trial_outlives_the_service(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection would be left open, and the trial of a database that hangs would keep the process."""
    monkeypatch.setattr("app.inbox.readiness.STOP_SECONDS", 0.01)
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(sqlite_database) as client:
        service = service_of(client)
        await service.readiness()
        monkeypatch.setattr(service.database, "try_batch", hang)
        asking = asyncio.create_task(service.readiness())
        await begun.wait()
        [trial] = [task for task in asyncio.all_tasks() if task.get_name() == "readiness"]
        asking.cancel()
    assert trial.done()


async def test_the_disk_is_tried_off_the_event_loop(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(
        spool_files, "write_on_trial", lambda folder: threads.append(threading.current_thread())
    )
    await readyz(client)
    assert threads and threading.main_thread() not in threads


async def test_a_disk_that_hangs_is_named_after_its_time_limit(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr("app.inbox.readiness.TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(spool_files, "write_on_trial", lambda folder: released.wait(20))
    try:
        code, _, said = await readyz(client)
        assert code == 200 and "does not answer within 0.5 s" in said
    finally:
        released.set()
