"""A task of the service that fails starts again."""

import asyncio

import pytest

from app.worker import restarts
from app.worker.restarts import keep_running


async def test_a_task_that_fails_runs_again_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "RESTART_SECONDS", 0)
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise LookupError("not yet")

    await asyncio.wait_for(keep_running("work", work), 30)
    assert runs == 3


async def test_a_task_that_is_cancelled_does_not_run_again() -> None:
    task = asyncio.create_task(keep_running("work", asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
