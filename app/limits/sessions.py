"""One core for two kinds of session: what the limits await, a synchronous session answers at once.

The limits await three things of a session: its connection, statements on that, and a savepoint. Behind a
synchronous session none of these suspends, so that a coroutine runs to its end without an event loop. The
statements, their order and their guarantees are the same.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session

T = TypeVar("T")

SyncSession = Session | scoped_session[Any]
AnySession = AsyncSession | SyncSession


class _Connection:
    """A synchronous connection with the methods that the limits await."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable) -> Any:
        return self._connection.scalar(statement)


class _Session:
    """A synchronous session with the methods that the limits await."""

    def __init__(self, session: Session) -> None:
        self.sync_session = session

    async def connection(self) -> _Connection:
        return _Connection(self.sync_session.connection())

    @asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        _begin(self.sync_session.connection())
        with self.sync_session.begin_nested():
            yield


def _begin(connection: Connection) -> None:
    """Begin the transaction of a SQLite connection, which its driver leaves to the first write.

    To SQLite a savepoint outside a transaction is a transaction: its release would be a commit, and the
    caller's rollback would come too late.
    """
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite" and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def is_sync(session: object) -> bool:
    """Whether the session is a synchronous one of SQLAlchemy, or a registry of such."""
    return isinstance(session, Session | scoped_session)


def answer(session: Any, call: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> Any:
    """What `call` comes to in a synchronous session; in an asynchronous one, the coroutine that does."""
    if not is_sync(session):
        return call(session)
    own: Session = session() if isinstance(session, scoped_session) else session
    return run(call(cast(AsyncSession, _Session(own))))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends.

    Raises:
        RuntimeError: when it does: it waits for something that needs an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    coroutine.close()
    raise RuntimeError("The limits wait for an event loop in a synchronous session.")
