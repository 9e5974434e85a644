"""The SQL statements that a test causes, without those of the service's background tasks."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

_block: ContextVar[object] = ContextVar("block")
"""The innermost block of this task. Tasks that began before the block have another value or none."""


@contextmanager
def executed(engine: AsyncEngine) -> Iterator[list[tuple[Connection, str]]]:
    """The statements on the engine, with their connections, of this task and of those that it starts.

    A background task of the service may execute a statement at any moment; it does not count.
    """
    seen: list[tuple[Connection, str]] = []

    def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if _block.get(None) is seen:
            seen.append((connection, statement))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    token = _block.set(seen)
    try:
        yield seen
    finally:
        _block.reset(token)
        event.remove(engine.sync_engine, "before_cursor_execute", note)
