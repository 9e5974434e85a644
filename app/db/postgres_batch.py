"""The statements of a batch on PostgreSQL: no ORM on the webhook path, where each round trip counts."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, Table

from .base import COUNTED_UP, INSERT_ONLY, UNITED, Row, changed_columns, newest_change

USERS_CHANNEL = "billing_users"

FORGET_PLANS = "DISCARD PLANS"
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
# A plan that was made while a table was small must not stay a sequential scan when it has grown.
PLAN_BY_INDEX = "SET LOCAL enable_seqscan = off"

# Who waits for a lock that somebody holds gives up, and with it the locks that others wait for: the batch
# goes on without the events that need it. The server must end it: it does not notice that nobody waits.
LOCK_TIMEOUT_SECONDS = 2
SHORT_LOCK_TIMEOUT_SECONDS = 0.1
"""For a batch that has waited already, or whose objects were locked a moment ago."""
STATEMENT_TIMEOUT_SECONDS = 7
"""For one statement, of a session or a batch, its wait for locks included. A connection that died in silence
would otherwise be waited for without end; giving it up takes two seconds more."""
PATIENCE = (
    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'; "
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"
)
SHORT_PATIENCE = (
    f"SET LOCAL lock_timeout = '{SHORT_LOCK_TIMEOUT_SECONDS:g}s'; "
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"
)

# Every batch has advisory locks, and whoever has locked or changed a row is its xmax.
LOCKED_BY_OTHERS = """
WITH free AS (SELECT id FROM {table} WHERE id = ANY($1::text[]) FOR NO KEY UPDATE SKIP LOCKED),
batches AS (
    SELECT owner.transactionid FROM pg_locks AS owner JOIN pg_locks AS named USING (pid)
    WHERE owner.locktype = 'transactionid' AND owner.granted AND named.locktype = 'advisory' AND named.granted
)
SELECT id FROM {table} AS locked WHERE id = ANY($1::text[]) AND id NOT IN (SELECT id FROM free)
AND NOT EXISTS (SELECT FROM batches WHERE batches.transactionid = locked.xmax)
"""

# What is answered with 200 is on disk, also where a role or a database is configured not to wait for it.
DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)


class PostgresBatch:
    """Begin with locks, load, write, commit: four round trips."""

    def __init__(self, connection: Any, *, replan: bool = False) -> None:
        """`replan`: forget the plans that the connection has kept."""
        self._connection = connection
        self._before = f"{FORGET_PLANS}; " if replan else ""

    async def begin(self, lock: Sequence[str], *, patient: bool = True) -> None:
        # A row that does not exist yet locks nothing, so the names are locked instead, in one order.
        time_limits = PATIENCE if patient else SHORT_PATIENCE
        await self._connection.execute(
            f"{self._before}{BEGIN}; {PLAN_BY_INDEX}; {time_limits}; {locks(lock)}"
        )

    async def locked_names(self, names: Collection[str]) -> set[str]:
        """Which names another batch has locked; the others are locked by this one. Waits for nobody."""
        keys = {_lock_key(name): name for name in names}
        query = "SELECT key FROM unnest($1::bigint[]) AS key WHERE NOT pg_try_advisory_xact_lock(key)"
        return {keys[record["key"]] for record in await self._connection.fetch(query, list(keys))}

    async def locked_ids(self, table: Table, ids: Collection[str]) -> set[str]:
        """Which rows somebody has locked against changes who is no batch. Waits for nobody."""
        query = LOCKED_BY_OTHERS.replace("{table}", table.name)
        return {record["id"] for record in await self._connection.fetch(query, list(ids))}

    async def load(
        self, rows: Mapping[Table, Collection[str]], known: tuple[Table, Collection[str]]
    ) -> tuple[dict[Table, list[Row]], set[str]]:
        # A statement of its own: one that waits for a lock reads with the snapshot from before the wait.
        tables = tuple(rows)
        statement = _load_statement(tables, known[0])
        record = await self._connection.fetchrow(
            statement, *(list(ids) for ids in rows.values()), list(known[1])
        )
        loaded = {table: orjson.loads(record[i]) if record[i] else [] for i, table in enumerate(tables)}
        return loaded, set(record[len(tables)])

    async def load_by(self, table: Table, column: str, values: Collection[str]) -> list[Row]:
        statement = f"SELECT json_agg(t) FROM {table.name} t WHERE t.{column} = ANY($1::text[])"
        rows = await self._connection.fetchval(statement, list(values))
        loaded: list[Row] = orjson.loads(rows) if rows else []
        return loaded

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        for number in range(1, len(parameters) + 1):
            sql = sql.replace("?", f"${number}", 1)
        return [dict(record) for record in await self._connection.fetch(sql, *parameters)]

    async def write(self, rows: Mapping[Table, Sequence[Row]], users: Collection[str]) -> None:
        filled = {table: entries for table, entries in rows.items() if entries}
        columns = (column for table, entries in filled.items() for column in _columns(table, entries))
        statement = _write_statement(tuple(filled))
        await self._connection.execute(statement, *columns, list(users))


def locks(names: Collection[str]) -> str:
    keys = ",".join(str(key) for key in sorted({_lock_key(name) for name in names}))
    return f"SELECT pg_advisory_xact_lock(key) FROM unnest('{{{keys}}}'::bigint[]) AS key"


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


@cache
def _load_statement(tables: tuple[Table, ...], known: Table) -> str:
    parts = [
        f"(SELECT json_agg(t) FROM {table.name} t WHERE t.id = ANY(${number}::text[]))"
        for number, table in enumerate(tables, 1)
    ]
    ids = f"ARRAY(SELECT id FROM {known.name} WHERE id = ANY(${len(tables) + 1}::text[]))"
    return f"SELECT {', '.join(parts)}, {ids}"


@cache
def _write_statement(tables: tuple[Table, ...]) -> str:
    """One statement for all tables; each column comes as one array."""
    parts, first = [], 1
    for table in tables:
        parts.append(f"{table.name}_written AS ({_upsert(table, first)})")
        first += len(table.columns)
    parts.append(
        "counted AS (INSERT INTO billing_user (id, version, state_due_at) "
        f'SELECT id, 1, 0 FROM unnest(${first}::text[]) AS id ORDER BY id COLLATE "C" '
        f"{COUNTED_UP} RETURNING id)"
    )
    return (
        f"WITH {', '.join(parts)} SELECT pg_notify('{USERS_CHANNEL}', id)::text FROM counted "
        f"UNION ALL {DURABLE}"
    )


def _upsert(table: Table, first: int) -> str:
    columns = list(table.columns)
    names = ", ".join(column.name for column in columns)
    arrays = ", ".join(_array(first + i, _sql_type(column)) for i, column in enumerate(columns))
    values = ", ".join(column.name + ("::jsonb" if _is_json(column) else "") for column in columns)
    changes = ", ".join(_change(table, column.name) for column in changed_columns(table))
    conflict = "NOTHING" if table.info.get(INSERT_ONLY) else f"UPDATE SET {changes}"
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {values} FROM unnest({arrays}) AS entry ({names}) "
        f'ORDER BY id COLLATE "C" ON CONFLICT (id) DO {conflict}'
    )


def _change(table: Table, name: str) -> str:
    """What becomes of a column of a row that is there."""
    if name in table.info.get(UNITED, ()):
        return f"{name} = {table.name}.{name} || excluded.{name}"
    return newest_change(table, name) or f"{name} = excluded.{name}"


def _array(number: int, sql_type: str) -> str:
    return f"${number}::text[]" if sql_type == "text" else f"${number}::text::{sql_type}[]"


def _columns(table: Table, rows: Sequence[Row]) -> list[list[Any] | str | None]:
    return [_encoded(kind, [row[name] for row in rows]) for name, kind in _kinds(table)]


@cache
def _kinds(table: Table) -> list[tuple[str, str]]:
    """Each column's name, and what it holds: json, text, or numbers."""
    return [(column.name, "json" if _is_json(column) else _sql_type(column)) for column in table.columns]


def _encoded(kind: str, values: list[Any]) -> list[Any] | str | None:
    if values[0] is None and all(value is None for value in values):
        return None  # `unnest` fills a shorter array up with nulls; many columns hold nothing else
    if kind == "json":
        # asyncpg takes a list in a jsonb[] for a second dimension: JSON goes as text.
        return [None if value is None else orjson.dumps(value).decode() for value in values]
    if kind == "text":
        return values
    # Numbers as one text: asyncpg asks each element of an array whether it is an array, which takes longer.
    return "{" + ",".join(["NULL" if value is None else f"{value:d}" for value in values]) + "}"


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, JSON)


def _sql_type(column: Column[Any]) -> str:
    match column.type:
        case BigInteger():
            return "bigint"
        case Integer():
            return "integer"
        case Boolean():
            return "boolean"
        case _:
            return "text"
