"""The files of the spool: refused ones, sync and rename, sweeping, and many of them."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.errors import Unavailable
from app.inbox import spool as spool_module
from app.inbox import spool_files
from app.inbox.delivery import receive
from app.inbox.spool import Spool
from app.simulator import sign

from ...client import SECRET, Client
from ...waiting import until
from .helpers import drain, files, no_inbox_table


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
    folder.mkdir(exist_ok=True)
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
