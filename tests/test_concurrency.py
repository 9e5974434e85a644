"""What runs at once, and what is left of it when one fails."""

import asyncio

import pytest

from app.concurrency import keep_running, run_all


async def test_when_one_fails_the_rest_finish_first() -> None:
    done = []

    async def work(number: int) -> int:
        if number == 1:
            raise LookupError("the second")
        for _ in range(5):
            await asyncio.sleep(0)
        done.append(number)
        return number

    with pytest.raises(LookupError, match="the second"):
        await run_all(work(number) for number in range(4))
    assert done == [0, 2, 3]
    assert await run_all(work(number) for number in (5, 4)) == [5, 4]


async def test_who_is_cancelled_leaves_nothing_running() -> None:
    ended = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    task = asyncio.create_task(run_all(work(number) for number in range(3)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [0, 1, 2]


async def test_a_task_that_fails_runs_again_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.concurrency.RESTART_SECONDS", 0)
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
