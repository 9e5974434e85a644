"""What both databases offer: ordinary sessions, and batches, the transactions of the webhook path."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from sqlalchemy import Column, Table
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from .table import KEPT_ONCE_WRITTEN

Row = dict[str, Any]

POOL_SECONDS = 8
"""How long a session waits for a connection while all are in use: no request waits for 10 s."""

INSERT_ONLY = "insert_only"
"""In a table's `info`: a row that is there stays as it is."""
UNITED = "united"
"""In a table's `info`: the columns, JSON objects, that keep the keys that they had."""
NEWEST = "newest"
"""In a table's `info`: by a column that says how new they are, the columns of which the newest stay."""

COUNTED_UP = "ON CONFLICT (id) DO UPDATE SET version = billing_user.version + 1, state_due_at = 0"
COUNT_UP = f"INSERT INTO billing_user (id, version, state_due_at) VALUES (:id, 1, 0) {COUNTED_UP}"
"""Count the version of a user up, from nothing to 1; the user's state is due to be announced."""


def changed_columns(table: Table) -> list[Column[Any]]:
    """The columns of a row that is there which a write replaces."""
    return [each for each in table.columns if not each.primary_key and not each.info.get(KEPT_ONCE_WRITTEN)]


def newest_change(table: Table, name: str) -> str | None:
    """What becomes of a column of a row that is there, where the newest stays; None for other columns."""
    for place, columns in table.info.get(NEWEST, {}).items():
        if name == place or name in columns:
            is_newer = f"COALESCE(excluded.{place}, '') >= COALESCE({table.name}.{place}, '')"
            return f"{name} = CASE WHEN {is_newer} THEN excluded.{name} ELSE {table.name}.{name} END"
    return None


@dataclass(frozen=True, slots=True)
class Locks:
    """What is locked now, by the names that batches lock."""

    others: set[str] = field(default_factory=set)
    """Whose rows somebody has locked who is no batch: nobody knows for how long."""
    batches: set[str] = field(default_factory=set)
    """What other batches work on, of this process or another: they end soon."""


class Batch(Protocol):
    """One transaction of the webhook path, in a handful of statements however many events it carries."""

    async def begin(self, lock: Sequence[str], *, patient: bool = True) -> None:
        """Begin, and hold these locks till the end. Whoever else names one of them waits, or we do.

        `patient`: False waits for locks of PostgreSQL for a moment only.
        """

    async def load(
        self, rows: Mapping[Table, Collection[str]], known: tuple[Table, Collection[str]]
    ) -> tuple[dict[Table, list[Row]], set[str]]:
        """The rows with these ids; and which ids of `known` exist."""

    async def load_by(self, table: Table, column: str, values: Collection[str]) -> list[Row]:
        """The rows whose column has one of these values."""

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows of a query with parameters named `?`."""

    async def write(self, rows: Mapping[Table, Sequence[Row]], users: Collection[str]) -> None:
        """Insert these rows, or replace those with the same ids (in insert-only tables they stay).

        Count the version of these users up, and notify the other processes.
        """


class _Undo(Exception):
    """Ends a batch that was only tried."""


class Database(ABC):
    """One database: ordinary SQLModel sessions on an engine, and batches."""

    name: ClassVar[str]
    batches_at_once: ClassVar[int] = 1
    """How many transactions of the webhook path one process had better have under way."""
    reading_options: ClassVar[dict[str, str]] = {}
    read_only_options: ClassVar[dict[str, bool]] = {"read_only": True}

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._reading = engine.execution_options(reading=True, **self.reading_options)
        self._read_only = self._reading.execution_options(**self.read_only_options)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed when the block ends without an error."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for reading alone: one snapshot for all its queries, and no lock that a writer needs."""
        async with AsyncSession(self._reading, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[AsyncSession]:
        """As `reading`, and the database itself refuses every write."""
        async with AsyncSession(self._read_only, expire_on_commit=False) as session:
            yield session

    @abstractmethod
    def batch(self) -> AbstractAsyncContextManager[Batch]:
        """A transaction that commits when the block ends, and leaves nothing when it raises."""

    async def try_batch(self, query: str, rows: Mapping[Table, Sequence[Row]]) -> list[Row]:
        """Write rows as a batch does, and undo it; the rows of a query that goes before.

        Raises:
            Exception: of the database's driver, when a batch could not be committed now.
        """
        found: list[Row] = []
        with suppress(_Undo):
            async with self.batch() as batch:
                await batch.begin(())
                found = await batch.fetch(query)
                await batch.write(rows, ())
                raise _Undo
        return found

    @abstractmethod
    def why_not_writable(self, error: BaseException) -> str:
        """Why a batch cannot be committed, by the error that it ended in: the cause, a colon, the remedy.

        Never the error's own words, which may quote the address and its password.
        """

    @abstractmethod
    async def count_up(self, session: AsyncSession, user_id: str) -> None:
        """Say, in the session's transaction, that what the user has may have changed."""

    @abstractmethod
    async def hold(self, session: AsyncSession, names: Collection[str]) -> None:
        """Keep batches off what is named, such as `customer:cus_1`, until the session's transaction ends."""

    async def locked(self, records: Mapping[str, tuple[Table, str] | None]) -> Locks:
        """Which of these names, with the rows that go by them (table and id), are locked now.

        Waits for nobody. Nothing where only the whole database can be locked, as in SQLite.
        """
        return Locks()

    @abstractmethod
    async def listen(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` with the id of each user whose limits another process may have changed, and with
        None when some may have been missed. Runs until it is cancelled."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""

    def lies_under(self, error: BaseException | None) -> bool:
        """Whether the database's being unavailable is what caused an error, such as SQLAlchemy's."""
        while error is not None:
            if isinstance(error, NoConnectionFree) or self.is_unavailable(error):
                return True
            error = error.__cause__
        return False

    def why_unavailable(self, error: BaseException) -> str:
        """Why the database does not work, by an error that it lies under: the cause, a colon, the remedy."""
        found: BaseException | None = error
        while found is not None and not self.is_unavailable(found):
            found = found.__cause__
        return self.why_not_writable(found or error)

    def is_held(self, error: BaseException) -> bool:
        """Whether somebody else holds what was waited for, for longer than is waited."""
        return False

    @abstractmethod
    def is_unavailable(self, error: BaseException) -> bool:
        """Whether the database as a whole cannot work now, rather than with what it was given."""
