"""What runs at once, and what is left of it when one fails."""

import asyncio

import pytest

from app.concurrency import Slices, run_all


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


async def test_a_long_computation_lets_others_run_after_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    async def compute() -> int:
        before, slices = ran, Slices()
        for _ in range(10):
            await slices.rest()
        return ran - before

    task = asyncio.create_task(other())
    monkeypatch.setattr("app.concurrency.SLICE_SECONDS", 3600)
    assert await compute() == 0
    monkeypatch.setattr("app.concurrency.SLICE_SECONDS", -1)
    assert await compute() == 10
    task.cancel()
