"""Starts a task of the service again that has failed."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ..observability.redaction import described

log = structlog.get_logger(__name__)

RESTART_SECONDS = 5.0
"""How long a task rests that has failed."""


async def keep_running(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run a task of the service until it returns. One that raises is logged, and starts again after a rest.

    A task that ended unnoticed would leave its work undone until the next restart of the process.
    """
    while True:
        try:
            await work()
        except Exception as error:
            log.error("task_failed", task=name, raised=described(error))
            await asyncio.sleep(RESTART_SECONDS)
        else:
            return
