"""Waits for what nothing announces. All are bounded: broken code fails a test and does not hang it."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LONGEST_SECONDS = 180.0
"""Far longer than anything takes, so that only broken code reaches it, and no loaded machine."""
PAUSE_SECONDS = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = LONGEST_SECONDS) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: when it does not within so many seconds.
    """
    async with asyncio.timeout(seconds):
        while not await _holds(condition):  # noqa: ASYNC110 # nothing announces it
            await asyncio.sleep(PAUSE_SECONDS)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    found = condition()
    return await found if inspect.isawaitable(found) else found


def wait_until(condition: Callable[[], bool], seconds: float = LONGEST_SECONDS) -> None:
    """Return once the condition holds; for code that is not async.

    Raises:
        TimeoutError: when it does not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(PAUSE_SECONDS)


async def until_idle(work: Callable[[], Awaitable[int]], most: int = 100) -> int:
    """Do the work again and again until it finds nothing to do; how much it did.

    Raises:
        AssertionError: when it still finds something after so many times.
    """
    total = 0
    for _ in range(most):
        done = await work()
        if not done:
            return total
        total += done
    raise AssertionError(f"There is still something to do after {most} times.")
