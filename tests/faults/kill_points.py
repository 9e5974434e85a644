"""Points of the service's work at which a test may have its process killed."""

import os
import signal
from collections.abc import Callable
from typing import Any

from app.inbox import spool_files
from app.inbox.transaction import Transactions

POINTS: dict[str, tuple[Any, str, bool]] = {
    "before a spooled event is written": (spool_files, "_write_aside", False),
    "when a spooled event is written aside": (spool_files, "_write_aside", True),
    "when a spooled event has its name": (spool_files, "sync_folder", False),
    "when a spooled event is durable": (spool_files, "sync_folder", True),
    "between COMMIT and its answer": (Transactions, "_count", False),
}
"""Where a point is: whose function, and whether after it."""


def kill_at(point: str, times: int) -> None:
    """Have the process kill itself when it has passed the point so many times."""
    owner, name, after = POINTS[point]
    function: Callable[..., Any] = getattr(owner, name)
    left = times

    def called(*arguments: Any) -> Any:
        nonlocal left
        result = function(*arguments) if after else None
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if after else function(*arguments)

    setattr(owner, name, called)
