"""Connections of an engine's pool that are of no use any more are closed, all at once."""

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

PING_TIMEOUT_SECONDS = 3
"""How long a connection that was idle may take to answer, before the whole pool is replaced."""
FRESH = "billing_fresh"


def replace_read_only(engine: AsyncEngine) -> None:
    """Close a pool's connections to a server that takes no writes any more, as after a failover."""

    @event.listens_for(engine.sync_engine, "handle_error")
    def look(context: ExceptionContext) -> None:
        error: BaseException | None = context.original_exception
        while error is not None and not context.is_disconnect:
            context.is_disconnect = isinstance(error, asyncpg.ReadOnlySQLTransactionError)
            error = error.__cause__


def replace_silent(engine: AsyncEngine) -> None:
    """Ask a connection that was idle for an answer before it is used, in one round trip.

    When none comes, the pool closes all its connections and opens new ones. SQLAlchemy's own
    `pool_pre_ping` raises a time-out to the caller: each silent connection would fail one request.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def mark_fresh(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info[FRESH] = True

    @event.listens_for(engine.sync_engine, "checkout")
    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if record.info.pop(FRESH, False):
            return
        try:
            connection.run_async(lambda each: each.execute("SELECT 1", timeout=PING_TIMEOUT_SECONDS))
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
        ) as error:  # a TimeoutError is an OSError
            raise InvalidatePoolError(f"The connection does not answer: {type(error).__name__}.") from error
