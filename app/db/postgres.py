"""PostgreSQL through asyncpg: its connections, and notifications to other processes."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import structlog
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ..errors import ConfigurationError
from . import base
from .base import COUNT_UP, Database, Locks
from .postgres_batch import STATEMENT_TIMEOUT_SECONDS, USERS_CHANNEL, PostgresBatch, locks
from .postgres_errors import CannotConnect, why_not_writable
from .postgres_pool import replace_read_only, replace_silent
from .table import read_json

log = structlog.get_logger(__name__)

LIBPQ_ONLY = {"channel_binding", "gssencmode", "pgbouncer"}
"""Parameters that people copy from their provider and that asyncpg would send on as server settings."""

# Names of their own, since pgbouncer may have another client's statement of the same name.
ONE_TIME_STATEMENTS = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: f"billing_{uuid.uuid4().hex}",
}

NOTIFY = text("SELECT pg_notify(:channel, :id)")
CONNECT_TIMEOUT_SECONDS = 5
ROLLBACK_TIMEOUT_SECONDS = 1
CLOSE_TIMEOUT_SECONDS = 1
IDLE_SECONDS = 60
"""How long a connection for batches may have been idle to be used again."""
LISTEN_AGAIN_SECONDS = 1
LISTEN_CHECK_SECONDS = 5

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,  # such as an error of the server's disk
    asyncpg.TransactionRollbackError,  # deadlock, serialization: the batch was fine
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,  # migrations are behind
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
)


FIRST_REPLAN = 8
"""PostgreSQL keeps the plan of a statement from its sixth execution on ("PREPARE")."""


@dataclass(slots=True)
class _BatchConnection:
    """A connection for batches, and how many it has had."""

    connection: asyncpg.Connection
    batches: int = 0
    idle_since: float = 0.0

    def needs_new_plans(self) -> bool:
        """Whether the kept plans may be too old: the tables may have been all but empty when they were made.

        Then each batch would read every event, until the next ANALYZE. Plans are made again whenever the
        number of batches has doubled, so that the tables have hardly more than doubled since.
        """
        return self.batches >= FIRST_REPLAN and self.batches & (self.batches - 1) == 0


class PostgresDatabase(Database):
    """asyncpg connections for batches, and an SQLAlchemy engine on the same address."""

    name = "postgresql"
    batches_at_once = 2
    reading_options: ClassVar[dict[str, str]] = {"isolation_level": "REPEATABLE READ"}
    read_only_options: ClassVar[dict[str, bool]] = {"postgresql_readonly": True}

    def __init__(self, url: str, *, statement_timeout: float | None = STATEMENT_TIMEOUT_SECONDS) -> None:
        self._dsn, pooled = _for_asyncpg(url)
        # pgbouncer in transaction mode may give the next statement another server connection,
        # on which a prepared statement of ours does not exist.
        self._arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT_SECONDS}
        if pooled:
            self._arguments["statement_cache_size"] = 0
        self._statement_timeout = statement_timeout
        self._idle: list[_BatchConnection] = []
        super().__init__(
            create_async_engine(
                "postgresql+asyncpg://",
                async_creator=self._connect,
                json_deserializer=read_json,
                pool_timeout=base.POOL_SECONDS,
                connect_args=ONE_TIME_STATEMENTS if pooled else {},
            )
        )
        replace_read_only(self.engine)
        replace_silent(self.engine)

    async def _connect(self) -> asyncpg.Connection:
        """A new connection, on which no statement is waited for without end.

        Raises:
            OSError, or another of UNAVAILABLE: whatever keeps us from connecting has nothing to do with what
                is to be written.
        """
        try:
            return await asyncpg.connect(
                self._dsn, command_timeout=self._statement_timeout, **self._arguments
            )
        except Exception as error:
            if self.is_unavailable(error):
                raise
            raise CannotConnect(type(error).__name__) from error

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[PostgresBatch]:
        kept = self._idle_connection() or _BatchConnection(await self._connect())
        connection = kept.connection
        try:
            yield PostgresBatch(connection, replan=kept.needs_new_plans())
            await connection.execute("COMMIT")
        except (asyncio.CancelledError, TimeoutError, asyncpg.ReadOnlySQLTransactionError):
            # Nobody may be there to answer any more, and rolling back would wait for it. A server that is
            # read-only may have been the primary until a failover: a new connection finds the new one. The
            # connections that were idle meanwhile lead to the same server.
            connection.terminate()
            self._close_idle()
            raise
        except BaseException:
            # A connection that cannot roll back is closed, and its transaction with it.
            if connection.is_in_transaction():
                await _roll_back(connection)
            raise
        finally:
            kept.batches, kept.idle_since = kept.batches + 1, time.monotonic()
            self._idle.append(kept)

    def _idle_connection(self) -> "_BatchConnection | None":
        """The connection that was used last. Batches come one after the other on one or two connections, and
        leave nothing to reset; asyncpg's pool would cost each as much as two of its round trips.
        """
        while self._idle:
            kept = self._idle.pop()
            if time.monotonic() - kept.idle_since > IDLE_SECONDS:
                kept.connection.terminate()  # something between may have forgotten it, and say nothing
            if not kept.connection.is_closed():
                return kept
        return None

    def _close_idle(self) -> None:
        for kept in self._idle:
            kept.connection.terminate()
        self._idle.clear()

    async def count_up(self, session: AsyncSession, user_id: str) -> None:
        connection = await session.connection()
        await connection.execute(text(COUNT_UP), {"id": user_id})
        await connection.execute(NOTIFY, {"channel": USERS_CHANNEL, "id": user_id})

    async def hold(self, session: AsyncSession, names: Collection[str]) -> None:
        await (await session.connection()).exec_driver_sql(locks(names))

    async def locked(self, records: Mapping[str, tuple[Table, str] | None]) -> Locks:
        names: dict[Table, dict[str, str]] = defaultdict(dict)
        for name, record in records.items():
            if record is not None:
                names[record[0]][record[1]] = name
        async with self.batch() as batch:
            await batch.begin((), patient=False)
            locks = Locks(batches=await batch.locked_names(records))
            for table, by_id in names.items():
                locks.others.update(by_id[id] for id in await batch.locked_ids(table, by_id))
        return locks

    async def listen(self, changed: Callable[[str | None], None]) -> None:
        while True:
            try:
                await self._listen_until_cut(changed)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("listener_cut", error=type(error).__name__)
            changed(None)
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _listen_until_cut(self, changed: Callable[[str | None], None]) -> None:
        connection = await self._connect()
        cut = asyncio.Event()
        connection.add_termination_listener(lambda _: cut.set())
        try:
            await connection.add_listener(USERS_CHANNEL, lambda *notice: changed(notice[3]))
            changed(None)  # earlier notifications are lost
            while not cut.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(cut.wait(), LISTEN_CHECK_SECONDS)
                await connection.fetchval("SELECT 1")  # a connection that was cut in silence shows here
        finally:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=LISTEN_AGAIN_SECONDS)

    async def close(self) -> None:
        for kept in self._idle:
            with suppress(*UNAVAILABLE):
                await kept.connection.close(timeout=CLOSE_TIMEOUT_SECONDS)
        self._idle.clear()
        await self.engine.dispose()

    def why_not_writable(self, error: BaseException) -> str:
        return why_not_writable(error)

    def is_held(self, error: BaseException) -> bool:
        return isinstance(error, asyncpg.LockNotAvailableError)

    def is_unavailable(self, error: BaseException) -> bool:
        # asyncpg's error for a value that it cannot encode is an InterfaceError too.
        return isinstance(error, UNAVAILABLE) and not isinstance(error, ValueError)


async def _roll_back(connection: Any) -> None:
    try:
        await connection.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()


def _for_asyncpg(url: str) -> tuple[str, bool]:
    """The address as asyncpg takes it, and whether a pgbouncer stands before the server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose message has a part of the password
        raise ConfigurationError(
            "DATABASE_URL is no address: write postgresql://user:password@host/name, and in the password "
            "the characters / # ? @ [ ] as %2F %23 %3F %40 %5B %5D."
        ) from None
    query = parse_qsl(parts.query)
    pooled = dict(query).get("pgbouncer") == "true" or port in (6432, 6543)
    kept = [(name, value) for name, value in query if name not in LIBPQ_ONLY]
    return urlunsplit(parts._replace(scheme="postgresql", query=urlencode(kept))), pooled
