"""Migrations expand: a process of the release before goes on working on the new schema."""

import asyncio
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from app.db import open_database
from app.db.migrations import alembic_config, migrate

pytestmark = pytest.mark.postgresql_in_long

FIRST = "0009"
"""The newest migration of the first release that others may run beside."""
CONTRACTS: frozenset[str] = frozenset()
"""Migrations that drop what no release in use needs any more; each says which release was the last to."""

Columns = dict[tuple[str, str], tuple[str, bool, bool]]


def later_revisions() -> list[str]:
    directory = ScriptDirectory.from_config(alembic_config(""))
    newest_first = [each.revision for each in directory.walk_revisions()]
    return newest_first[: newest_first.index(FIRST)][::-1]


async def columns(url: str) -> Columns:
    """Of each column: its type, whether it may be empty, and whether the database fills it."""

    def look(sync: Any) -> Columns:
        inspector = inspect(sync.connection())
        return {
            (table, column["name"]): (
                str(column["type"]),
                bool(column["nullable"]),
                column["default"] is not None,
            )
            for table in inspector.get_table_names()
            for column in inspector.get_columns(table)
        }

    database = open_database(url)
    try:
        async with database.reading() as session:
            return await session.run_sync(look)
    finally:
        await database.close()


def broken(before: Columns, after: Columns) -> list[str]:
    """What code that knows only `before` can no longer read or write."""
    tables = {table for table, _ in before}
    gone = [f"{table}.{name} is gone" for table, name in before if (table, name) not in after]
    changed = [
        f"{table}.{name} has another type"
        for (table, name), (kind, _, _) in before.items()
        if (table, name) in after and after[table, name][0] != kind
    ]
    needed = [
        f"{table}.{name} must be filled"
        for (table, name), (_, may_be_empty, is_filled) in after.items()
        if table in tables
        and not (may_be_empty or is_filled)
        and ((table, name) not in before or before[table, name][1])
    ]
    return [*gone, *changed, *needed]


def test_every_migration_leaves_what_the_release_before_it_reads_and_writes(empty_database_url: str) -> None:
    migrate(empty_database_url, FIRST)
    found = {}
    before = asyncio.run(columns(empty_database_url))
    for revision in later_revisions():
        migrate(empty_database_url, revision)
        after = asyncio.run(columns(empty_database_url))
        if revision not in CONTRACTS:
            found[revision] = broken(before, after)
        before = after
    assert {revision: problems for revision, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        ({}, "t.a is gone"),
        ({("t", "a"): ("TEXT", True, False)}, "t.a has another type"),
        ({("t", "a"): ("BIGINT", True, False), ("t", "b"): ("TEXT", False, False)}, "t.b must be filled"),
        ({("t", "a"): ("BIGINT", False, False)}, "t.a must be filled"),
    ],
)
def test_what_an_old_process_cannot_work_with_is_found(after: Columns, problem: str) -> None:
    assert broken({("t", "a"): ("BIGINT", True, False)}, after) == [problem]


def test_a_new_table_and_an_empty_or_filled_column_are_no_problem() -> None:
    before: Columns = {("t", "a"): ("BIGINT", True, False)}
    more: Columns = {
        ("t", "b"): ("TEXT", True, False),
        ("t", "c"): ("TEXT", False, True),
        ("new", "id"): ("TEXT", False, False),
    }
    assert broken(before, before | more) == []
