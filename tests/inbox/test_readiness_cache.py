"""One trial for all who ask, and nothing that happens meanwhile is hidden by its answer."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from app.db import open_database
from app.errors import Unavailable
from app.inbox import spool as spool_module
from app.inbox import spool_files
from app.inbox.delivery import receive
from app.inbox.readiness import CHECK_AGAIN_SECONDS, ReadinessCheck
from app.inbox.spool import Spool
from app.simulator import NEW, Account, event_body
from tests.waiting import LONGEST_SECONDS


async def test_however_many_ask_the_database_is_tried_once_in_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, tried = [1_000.0], 0
    database = open_database(database_url)
    try:
        try_batch = database.try_batch

        async def counted(*arguments: Any) -> Any:
            nonlocal tried
            tried += 1
            return await try_batch(*arguments)

        monkeypatch.setattr(database, "try_batch", counted)
        check = ReadinessCheck(database, Spool(None, secrets=()), clock=lambda: now[0])
        states = await asyncio.gather(*(check() for _ in range(50)))
        assert {state.status for state in states} == {"ready"}
        assert tried == 1
        now[0] += CHECK_AGAIN_SECONDS - 0.1
        await check()
        assert tried == 1
        now[0] += 0.2
        await check()
        assert tried == 2
    finally:
        await database.close()


async def test_what_happens_while_a_trial_is_under_way_is_not_hidden_by_its_answer(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A balancer would send its requests for two more seconds to a process that can store no event."""
    monkeypatch.setattr(spool_module, "MAX_FILES", 1)
    database, spool = open_database(sqlite_database), Spool(tmp_path / "spool", secrets=())
    written, may_end = threading.Event(), threading.Event()
    write_on_trial = spool_files.write_on_trial

    def held(folder: Path) -> None:
        write_on_trial(folder)
        written.set()
        may_end.wait(LONGEST_SECONDS)

    monkeypatch.setattr(spool_files, "write_on_trial", held)
    monkeypatch.setattr("app.inbox.readiness.TIMEOUT_SECONDS", LONGEST_SECONDS)
    account = Account(3, start=1_893_456_000)
    for _ in range(2):
        account.create_customer()
    first, second = (
        receive(event_body(event, NEW), signature="t=1,v1=0", received_at=1) for event in account.events
    )
    try:
        asking = asyncio.create_task(ReadinessCheck(database, spool)())
        assert await asyncio.to_thread(written.wait, LONGEST_SECONDS)
        await spool.put(first)
        with pytest.raises(Unavailable):
            await spool.put(second)
        may_end.set()
        assert "full" in ((await asking).spool or "")
    finally:
        may_end.set()
        await database.close()


async def test_one_who_hangs_up_does_not_end_the_check_for_the_others(sqlite_database: str) -> None:
    database = open_database(sqlite_database)
    try:
        check = ReadinessCheck(database, Spool(None, secrets=()))
        first, second = asyncio.create_task(check()), asyncio.create_task(check())
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).status == "ready"
    finally:
        await database.close()
