"""The tasks of a service go on, whatever fails in one of them: nobody else does their work."""

import asyncio
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from app.errors import Unavailable
from app.inbox.delivery import receive
from app.simulator import NEW, event_body, sign, truth
from app.worker import pruning, worker

from ..client import SECRET, running
from ..limits.helpers import START
from ..records import stored
from ..waiting import until
from .helpers import service_of, signed_up


async def test_the_worker_goes_on_when_the_database_goes_as_pruning_begins(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()

    async def no_database(*_: object) -> int:
        looked.set()
        raise ConnectionRefusedError

    monkeypatch.setattr(pruning, "clocks_apart", no_database)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.01)
    account = signed_up()
    async with running(sqlite_database, spool_dir=tmp_path / "spool") as client:
        service = service_of(client)
        with capture_logs() as logs:
            await until(looked.is_set)
            for event in account.events:
                body = event_body(event, NEW)
                await service.spool.put(receive(body, signature=sign(body, SECRET, START), received_at=START))
            await until(lambda: not service.spool.waiting())
        assert "pruning_failed" in [entry["event"] for entry in logs]
        expected = truth(account)
        assert await stored(service.database, expected) == expected


async def test_a_task_that_fails_starts_again(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.restarts.RESTART_SECONDS", 0)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.01)
    starts = 0
    works = worker.Worker._work_until_stopped

    async def fails_at_first(self: worker.Worker) -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise LookupError("a fault of ours")
        await works(self)

    monkeypatch.setattr(worker.Worker, "_work_until_stopped", fails_at_first)
    with capture_logs() as logs:
        async with running(sqlite_database):
            await until(lambda: starts == 2)
    failed = [entry for entry in logs if entry["event"] == "task_failed"]
    [(task, [raised])] = [(entry["task"], entry["raised"]) for entry in failed]
    assert (task, raised["type"]) == ("worker", "LookupError")
    assert raised["at"][-1].endswith("fails_at_first")
    assert "a fault of ours" not in str(failed)


async def test_the_inbox_goes_on_after_a_fault_of_its_own(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = signed_up()
    async with running(sqlite_database) as client:
        inbox = service_of(client).inbox

        def fault(*_: object) -> None:
            monkeypatch.undo()
            raise LookupError("a fault of ours")

        monkeypatch.setattr(inbox._locked, "forget", fault)
        body = orjson.dumps({"id": "evt_1", "object": "event", "type": "customer.updated", "created": START})
        with pytest.raises(Unavailable), capture_logs() as logs:
            await asyncio.wait_for(inbox.accept(receive(body, signature=None, received_at=START)), 30)
        [failed] = [entry for entry in logs if entry["log_level"] == "error"]
        assert (failed["event"], failed["raised"][0]["type"]) == ("batch_failed", "LookupError")
        await client.deliver(*account.events)
        expected = truth(account)
        assert await stored(service_of(client).database, expected) == expected
