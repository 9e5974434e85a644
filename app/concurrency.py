"""Tasks that run at once, and computations that let others run."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.02
"""How long a computation keeps all other tasks waiting, before it lets them run."""


async def run_all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once and return the results. When one fails, the others finish before its error is raised.

    `asyncio.gather` would leave them running: with a lease that was released, on a database that is closed.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def run_aside(work: Callable[[], T]) -> T:
    """Run a long computation in a thread, where it takes turns with the event loop's own."""
    return await asyncio.get_running_loop().run_in_executor(_aside, work)


# Of its own: receivers that block the threads of the loop must not keep anybody waiting for a limit.
_aside = ThreadPoolExecutor(1, thread_name_prefix="long computations")


async def let_others_run() -> None:
    """Let the other tasks that are ready run before this one goes on."""
    await asyncio.sleep(0)


class Slices:
    """Lets other tasks run now and then during a long computation."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def rest(self) -> None:
        """Let other tasks run, if this one has run for long."""
        if time.perf_counter() - self._began > SLICE_SECONDS:
            await let_others_run()
            self._began = time.perf_counter()
