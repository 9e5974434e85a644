"""A PostgreSQL database that was emptied for the next test is as a fresh one."""

import asyncio
from typing import Any

import asyncpg
import pytest

from .database_pool import DatabasePool
from .databases import run_sql

ROW = (
    "INSERT INTO billing_audit (id, actor, action, subject, at) VALUES ('a', 'ada', 'override.set', 'bob', 1)"
)


def fetched(url: str, query: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_the_next_test_gets_it_without_rows(postgres_databases: DatabasePool) -> None:
    with postgres_databases.database() as url:
        asyncio.run(run_sql(url, ROW))
    with postgres_databases.database() as again:
        assert again == url
        assert fetched(again, "SELECT count(*) FROM billing_audit") == 0


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE billing_audit ADD COLUMN more text",
        "ALTER TABLE billing_audit RENAME TO gone",
        "ALTER TABLE billing_audit ALTER COLUMN actor DROP NOT NULL",
        "CREATE TABLE more (id int)",
        "CREATE INDEX more ON billing_audit (actor)",
        "ALTER TABLE billing_audit ADD CONSTRAINT more CHECK (at > 0)",
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END$$",
    ],
)
def test_one_whose_schema_was_changed_is_not_used_again(
    postgres_databases: DatabasePool, change: str
) -> None:
    with postgres_databases.database() as changed:
        asyncio.run(run_sql(changed, change))
    with postgres_databases.database() as url:
        assert url != changed


def test_a_transaction_that_was_left_open_does_not_reach_the_next_test(
    postgres_databases: DatabasePool,
) -> None:
    async def leave_open(url: str) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await asyncpg.connect(url)
        await connection.execute("BEGIN")
        await connection.execute(ROW)
        return connection

    loop = asyncio.new_event_loop()
    try:
        with postgres_databases.database() as url:
            left = loop.run_until_complete(leave_open(url))
        with postgres_databases.database() as again:
            assert again == url
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                loop.run_until_complete(left.execute("COMMIT"))
            assert fetched(again, "SELECT count(*) FROM billing_audit") == 0
        left.terminate()
    finally:
        loop.close()
