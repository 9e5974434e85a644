"""SQLite: the standard library in one thread for batches, aiosqlite for ordinary sessions."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import JSON, URL, Column, Connection, Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from ..errors import ConfigurationError
from . import base
from .base import COUNT_UP, INSERT_ONLY, UNITED, Database, Row, changed_columns, newest_change
from .sqlite_trial import try_to_write, why_not_writable
from .table import read_json

T = TypeVar("T")

BATCH_BUSY_SECONDS = 5
"""How long a batch waits for another writer: less than the inbox gives it in all."""
SESSION_BUSY_SECONDS = 8
"""SQLite lets waiting writers in by chance, so under load one may wait long, but no request for 10 s."""
# WAL lets readers and the one writer work at once; FULL makes every commit survive a power cut.
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
)


class SqliteDatabase(Database):
    """One file. Batches are written by one thread with a connection of its own."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()
        super().__init__(make_engine(path))

    def _open(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-batches")
        self._connection: sqlite3.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        # Apart from the batches: one that waits for a lock must not keep others from seeing why.
        self._trials = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-trials")

    @asynccontextmanager
    async def batch(self) -> AsyncIterator["SqliteBatch"]:
        async with self._one_at_a_time:  # there is one connection
            try:
                yield SqliteBatch(self._in_thread)
                await self._in_thread(lambda connection: connection.execute("COMMIT"))
            except BaseException:
                await self._in_thread(_roll_back)
                raise

    async def try_batch(self, query: str, rows: Mapping[Table, Sequence[Row]]) -> list[Row]:
        statements = [
            (_upsert(table), _parameters(table, row)) for table, entries in rows.items() for row in entries
        ]
        return await asyncio.get_running_loop().run_in_executor(
            self._trials, try_to_write, self._path, query, statements
        )

    def why_not_writable(self, error: BaseException) -> str:
        return why_not_writable(self._path, error)

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            if self._connection is None:
                self._connection = _connect(self._path)
            return work(self._connection)

        # Shielded: a statement that has begun is not left running behind the one that follows it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, run))

    async def count_up(self, session: AsyncSession, user_id: str) -> None:
        await (await session.connection()).execute(text(COUNT_UP), {"id": user_id})

    async def hold(self, session: AsyncSession, names: Collection[str]) -> None:
        """The session has the write lock already."""

    async def listen(self, changed: Callable[[str | None], None]) -> None:
        """SQLite has no notifications: a change by another process is seen when cached answers expire."""

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_connection)
        self._thread.shutdown()
        self._trials.shutdown(wait=False)
        self._open()  # for who uses it again, perhaps on another event loop
        await self.engine.dispose()

    def _close_connection(self) -> None:
        """In the thread: behind what it has begun. Where there is none, none is opened, nor a file made."""
        if self._connection is not None:
            self._connection.close()

    def is_unavailable(self, error: BaseException) -> bool:
        # Locked, full, not writable, no such table; SQLite knows no error of data that is operational.
        # Damaged, or no SQLite file: a DatabaseError of no kind of its own.
        return isinstance(error, sqlite3.OperationalError | TimeoutError) or (
            type(error) is sqlite3.DatabaseError
        )


def make_engine(path: Path) -> AsyncEngine:
    """The engine for ordinary sessions, and for migrations.

    Raises:
        ConfigurationError: when the file's folder is not there and cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {path.parent} of the SQLite file cannot be made ({type(error).__name__}): correct "
            "DATABASE_URL, or make a folder there that this user can write."
        ) from None
    url = URL.create("sqlite+aiosqlite", database=str(path))
    engine = create_async_engine(
        url,
        connect_args={"timeout": SESSION_BUSY_SECONDS},
        json_deserializer=read_json,
        pool_timeout=base.POOL_SECONDS,
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def private(*_: object) -> None:
        make_private(path)

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin` says, not where sqlite3 guesses
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that first reads and then writes fails when another has written in between,
        # so those that may write take the write lock at once.
        options = connection.get_execution_options()
        _refuse_writes(connection, bool(options.get("read_only")))
        connection.exec_driver_sql("BEGIN" if options.get("reading") else "BEGIN IMMEDIATE")

    return engine


def _refuse_writes(connection: Connection, refuse: bool) -> None:
    """Have SQLite refuse the writes of a pooled connection, or allow them again."""
    if connection.info.get("query_only", False) != refuse:
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if refuse else 'OFF'}")
        connection.info["query_only"] = refuse


def make_private(path: Path) -> None:
    """Make the file, for its owner alone, unless it is there; SQLite gives its other files the same mode.

    A file that is there is never opened: to close it would drop the locks that connections of this process
    hold on it ("How To Corrupt An SQLite Database File", POSIX advisory locks), and another process would
    then delete the write-ahead log under them.
    """
    with suppress(OSError):  # it is there, or SQLite says more clearly why it cannot be made
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _connect(path: Path) -> sqlite3.Connection:
    make_private(path)
    connection = sqlite3.connect(
        path, timeout=BATCH_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SqliteBatch:
    """SQLite has one writer at a time: `BEGIN IMMEDIATE` is all the locking there is."""

    def __init__(self, in_thread: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> None:
        self._in_thread = in_thread

    async def begin(self, lock: Sequence[str], *, patient: bool = True) -> None:
        await self._in_thread(lambda connection: connection.execute("BEGIN IMMEDIATE"))

    async def load(
        self, rows: Mapping[Table, Collection[str]], known: tuple[Table, Collection[str]]
    ) -> tuple[dict[Table, list[Row]], set[str]]:
        def run(connection: sqlite3.Connection) -> tuple[dict[Table, list[Row]], set[str]]:
            loaded = {table: _select(connection, table, ids) for table, ids in rows.items()}
            sql = f"SELECT id FROM {known[0].name} WHERE id IN (SELECT value FROM json_each(?))"
            return loaded, {row["id"] for row in connection.execute(sql, (_json(list(known[1])),))}

        result: tuple[dict[Table, list[Row]], set[str]] = await self._in_thread(run)
        return result

    async def load_by(self, table: Table, column: str, values: Collection[str]) -> list[Row]:
        result: list[Row] = await self._in_thread(
            lambda connection: _select(connection, table, values, column)
        )
        return result

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        result: list[Row] = await self._in_thread(
            lambda connection: [dict(row) for row in connection.execute(sql, parameters)]
        )
        return result

    async def write(self, rows: Mapping[Table, Sequence[Row]], users: Collection[str]) -> None:
        def run(connection: sqlite3.Connection) -> None:
            for table, entries in rows.items():
                connection.executemany(_upsert(table), [_parameters(table, row) for row in entries])
            connection.executemany(COUNT_UP, [{"id": id} for id in users])

        await self._in_thread(run)


def _select(
    connection: sqlite3.Connection, table: Table, ids: Collection[str], column: str = "id"
) -> list[Row]:
    if not ids:
        return []
    sql = f"SELECT * FROM {table.name} WHERE {column} IN (SELECT value FROM json_each(?))"
    found = connection.execute(sql, (_json(list(ids)),)).fetchall()
    return [{each.name: _from_sqlite(each, row[each.name]) for each in table.columns} for row in found]


def _from_sqlite(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, JSON):
        return orjson.loads(value)
    return bool(value) if column.type.python_type is bool else value


@cache
def _upsert(table: Table) -> str:
    names = [column.name for column in table.columns]
    changes = ", ".join(_change(table, column.name) for column in changed_columns(table))
    marks = ", ".join("?" * len(names))
    conflict = "NOTHING" if table.info.get(INSERT_ONLY) else f"UPDATE SET {changes}"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT (id) DO {conflict}"


def _change(table: Table, name: str) -> str:
    """What becomes of a column of a row that is there."""
    if name in table.info.get(UNITED, ()):
        return f"{name} = json_patch({table.name}.{name}, excluded.{name})"
    return newest_change(table, name) or f"{name} = excluded.{name}"


def _parameters(table: Table, row: Row) -> list[Any]:
    return [
        _json(row[column.name])
        if row[column.name] is not None and isinstance(column.type, JSON)
        else row[column.name]
        for column in table.columns
    ]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
