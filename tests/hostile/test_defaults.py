"""What is safe without any setting: files of one's own, no planted events, no redirect elsewhere."""

import asyncio
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from sqlmodel import select

from app import limits
from app.db import open_database
from app.db.models import AuditEntry, OutboxEntry, OutboxState, default_row
from app.errors import InvalidRequest
from app.inbox import spool_files
from app.inbox.delivery import receive
from app.limits import LimitExceeded
from app.operations.replay import replay_outbox
from app.plans import MAX_AMOUNT
from app.reactions.outbox import ADDRESS
from app.simulator import Account, sign

from ..client import AUTH, SECRET, running

pytestmark = pytest.mark.postgresql_in_long

LETTERS = 300_000


@pytest.mark.parametrize("path", ["/internal/customers/", "//evil.example/internal/customers/"])
async def test_no_redirect_leads_to_a_forged_host(any_database_url: str, path: str) -> None:
    async with running(any_database_url) as client:
        headers = AUTH | {"Host": "evil.example"}
        response = await client.http.get(f"http://evil.example{path}", headers=headers)
        assert not response.headers.get("location", "/").startswith(("http", "//"))


async def test_a_redirect_of_the_application_to_another_host_stays(any_database_url: str) -> None:
    async with running(any_database_url) as client:
        app: FastAPI = client.app
        app.get("/away")(lambda: RedirectResponse("https://shop.example/plans"))
        response = await client.http.get("/away")
        assert response.headers["location"] == "https://shop.example/plans"


async def test_to_close_a_database_that_was_never_used_makes_no_file(tmp_path: Path) -> None:
    await open_database(f"sqlite:///{tmp_path}/new.db").close()
    assert list(tmp_path.iterdir()) == []


async def test_a_new_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_database(f"sqlite:///{tmp_path}/new.db")
        async with database.session() as session:
            await session.exec(select(1))
        async with database.batch() as batch:
            await batch.begin(())
            await batch.fetch("CREATE TABLE something (id TEXT)")
        await database.close()
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes and set(modes.values()) == {0o600}, modes


def spooled(folder: Path, *, at: int, signed_at: int | None = None) -> Path:
    body = b'{"id": "evt_1", "object": "event", "type": "x", "created": 1, "data": {"object": {"id": "x"}}}'
    signature = sign(body, SECRET, at if signed_at is None else signed_at)
    spool_files.write(folder, receive(body, signature=signature, received_at=at))
    return next(folder.glob("*.event"))


@pytest.mark.parametrize("days", [0, 400])
def test_an_event_that_was_kept_is_read_however_long_it_waited(tmp_path: Path, days: int) -> None:
    at = int(time.time()) - days * 86_400
    assert spool_files.read(spooled(tmp_path, at=at), [SECRET]).event.id == "evt_1"


@pytest.mark.parametrize("apart", [86_400, -86_400])
def test_a_signature_of_another_day_in_a_file_of_the_spool_is_refused(tmp_path: Path, apart: int) -> None:
    at = int(time.time())
    file = spooled(tmp_path, at=at, signed_at=at - apart)
    with pytest.raises(Exception, match=r"old|future"):
        spool_files.read(file, [SECRET])


def test_a_pipe_and_a_link_in_the_spool_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe, link, folder = (tmp_path / f"{name}.event" for name in ("pipe", "link", "folder"))
    os.mkfifo(pipe)
    secret = tmp_path / "secret"
    secret.write_text("{}")
    link.symlink_to(secret)
    folder.mkdir()
    for planted in (pipe, link, folder):
        with pytest.raises((OSError, ValueError)):
            spool_files.read(planted, [SECRET])


def test_addresses_are_taken_out_of_an_error_in_time_proportional_to_its_length() -> None:
    """Ends at once; with a pattern that looks back from each letter it would take hours."""
    assert ADDRESS.sub("", "a" * LETTERS) == "a" * LETTERS
    assert ADDRESS.sub("-", "at slack://token@x failed for ada@example.org") == "at - failed for -"


@pytest.mark.parametrize("near", [2, 0])
async def test_usage_beyond_what_can_be_counted_is_a_clear_error(database_url: str, near: int) -> None:
    async with running(database_url) as client:
        change = {"op": "set", "value": "unlimited", "reason": "x", "actor": "me"}
        path = "/internal/users/ada/overrides/projects"
        assert (await client.http.put(path, json=change, headers=AUTH)).status_code == 200
        service: Any = client.app.state.billing
        async with service.limits.reserve("ada", "projects", 5) as held:
            async with service.database.session() as session:
                await limits.set_usage(session, "ada", "projects", MAX_AMOUNT - near)
            with pytest.raises((InvalidRequest, LimitExceeded)):
                await held.commit(5)
        usage = (await client.read("/internal/users/ada/entitlements"))["features"]["projects"]
        assert usage["used"] == MAX_AMOUNT - near


LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM billing_event").fetchone()[0])
connection.close()
"""


async def test_another_process_may_open_and_close_the_file_beside_a_service(sqlite_database: str) -> None:
    command = [sys.executable, "-c", LOOK, sqlite_database.removeprefix("sqlite:///")]
    account = Account(1)
    account.create_subscription(account.create_customer())
    async with running(sqlite_database) as client:
        for event in account.events:
            await client.deliver(event)
            await asyncio.gather(*(client.read("/internal/customers") for _ in range(4)))
            await asyncio.to_thread(subprocess.check_output, command)
        seen = await asyncio.to_thread(subprocess.check_output, command)
        assert int(seen) == len(account.events)


async def test_reactions_that_were_not_taken_are_replayed(database_url: str) -> None:
    database = open_database(database_url)  # without a service, whose worker would send and prune them
    states = {
        "a": OutboxState.DEAD,
        "b": OutboxState.DONE,
        "c": OutboxState.PENDING,
        "d": OutboxState.DEAD,
    }
    try:
        async with database.session() as session:
            for id, state in states.items():
                values = {"id": id, "signal": "s", "receiver": f"r{id}", "reaction": {}, "created_at": 1}
                later = {"state": state, "attempts": 9, "next_attempt_at": 2**40}
                session.add(OutboxEntry(**(default_row(OutboxEntry) | values | later)))
        assert await replay_outbox(database, "me", at=5, receiver="ra") == 1
        assert await replay_outbox(database, "me", at=6) == 3
        async with database.reading() as session:
            rows = {row.id: row for row in await session.exec(select(OutboxEntry))}
            trail = [entry.subject for entry in await session.exec(select(AuditEntry))]
    finally:
        await database.close()
    assert {id: row.state for id, row in rows.items()} == {
        "a": "pending",
        "b": "done",
        "c": "pending",
        "d": "pending",
    }
    assert {row.attempts for row in rows.values()} == {0, 9}
    assert sorted(trail) == ["*", "ra"]
