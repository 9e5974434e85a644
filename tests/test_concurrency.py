"""What runs at once, and what is left of it when one fails."""

import asyncio

import pytest

from app.concurrency import run_all


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
