"""Tasks that run at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)

RESTART_SECONDS = 5.0
"""How long a task rests that has failed."""


async def run_all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once and return the results. When one fails, the others finish before its error is raised.

    `asyncio.gather` would leave them running: with a lease that was released, on a database that is closed.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def keep_running(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run a task of the service until it returns. One that raises is logged, and starts again after a rest.

    A task that ended unnoticed would leave its work undone until the next restart of the process.
    """
    while True:
        try:
            await work()
        except Exception as error:
            log.error("task_failed", task=name, exc_info=error)
            await asyncio.sleep(RESTART_SECONDS)
        else:
            return
