"""PostgreSQL databases for tests: copied from a migrated template, and emptied to be used again.

To empty one takes a sixth of the time of copying and dropping it. One whose schema or migration a test has
changed, or that has grown large, is dropped instead.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg

from app.db.migrations import VERSION_TABLE

from .databases import run_sql, with_database

MAX_GROWTH_BYTES = 4 * 2**20
LEAVE_SECONDS = 5
"""For connections that a test has left open, to end."""

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
TABLES = f"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '{VERSION_TABLE}'"
CATALOGS = (
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_index",
    "pg_policy",
    "pg_proc",
    "pg_trigger",
    "pg_type",
)
"""What changes the schema writes or deletes a row here. To read the definitions would take far longer."""
SCHEMA = f"""
SELECT concat_ws(' ',
    (SELECT string_agg(version_num, ',') FROM {VERSION_TABLE}),
    (SELECT string_agg(concat_ws(' ', nspname, nspacl), ',' ORDER BY nspname) FROM pg_namespace
     WHERE nspname NOT LIKE 'pg_t%'),
    {", ".join(f"(SELECT concat(count(*), '/', max(xmin::text::bigint)) FROM {name})" for name in CATALOGS)},
    (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting WHERE setdatabase =
        (SELECT oid FROM pg_database WHERE datname = current_database()))
)
"""


class DatabasePool:
    """Databases on one server, all copied from one template."""

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._numbers = itertools.count(1)
        self._spare: list[str] = []
        self._schema, self._size = asyncio.run(_schema_and_size(with_database(server, template)))

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a migrated database without rows, for nobody else."""
        name = self._spare.pop() if self._spare else self._copied()
        url = with_database(self._server, name)
        yield url
        if asyncio.run(self._emptied(url)):
            self._spare.append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        """Drop those that are left."""
        while self._spare:
            self._drop(self._spare.pop())

    def _copied(self) -> str:
        name = f"{self._template}_{next(self._numbers)}"
        copy_database(self._server, name, self._template)
        return name

    def _drop(self, name: str) -> None:
        drop_database(self._server, name)

    async def _emptied(self, url: str) -> bool:
        """Empty the database; False where it is not as the template any more."""
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            connection = await asyncpg.connect(url)
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    return await self._empty(connection)
            finally:
                await connection.close()
        return False

    async def _empty(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        # What a test has left behind, such as a transaction of a task that was cut off, must not come later.
        terminate = f"SELECT count(pg_terminate_backend(pid)) {OTHERS}"
        while await connection.fetchval(terminate):  # noqa: ASYNC110 # nothing announces their end
            await asyncio.sleep(0.01)
        schema, size = await connection.fetchrow(f"SELECT ({SCHEMA}), pg_database_size(current_database())")
        if schema != self._schema or size > self._size + MAX_GROWTH_BYTES:
            return False
        tables = [row["tablename"] for row in await connection.fetch(TABLES)]
        await connection.execute(";".join(f"DELETE FROM {table}" for table in tables))
        return True


async def _schema_and_size(url: str) -> tuple[str, int]:
    connection = await asyncpg.connect(url)
    try:
        for row in await connection.fetch(TABLES):
            table = row["tablename"]
            # A row that a migration writes would be missing in a database that was emptied.
            assert not await connection.fetchval(f"SELECT count(*) FROM {table}"), table
        sequences = "SELECT count(*) FROM pg_sequences WHERE schemaname = 'public'"
        assert not await connection.fetchval(sequences), "they would go on where the last test left them"
        return await connection.fetchval(SCHEMA), await connection.fetchval(
            "SELECT pg_database_size(current_database())"
        )
    finally:
        await connection.close()


def copy_database(server: str, name: str, template: str) -> None:
    """Copy a database by its files: PostgreSQL's default writes it all to the log, in twice the time."""
    asyncio.run(run_sql(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))


def drop_database(server: str, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    asyncio.run(run_sql(server, f"DROP DATABASE {name} WITH (FORCE)"))
