"""Migrations, up and down, on both databases."""

import asyncio

import pytest
from alembic import command
from sqlalchemy import inspect, text

from app.db import open_database
from app.db.migrations import VERSION_TABLE, alembic_config, behind, migrate


async def tables(url: str) -> set[str]:
    database = open_database(url)
    try:
        async with database.reading() as session:
            names = await session.run_sync(lambda sync: inspect(sync.connection()).get_table_names())
    finally:
        await database.close()
    return set(names)


async def missing(url: str) -> str | None:
    database = open_database(url)
    try:
        return await behind(database)
    finally:
        await database.close()


def test_migrations_go_up_and_down(empty_database_url: str) -> None:
    migrate(empty_database_url)
    assert "billing_subscription" in asyncio.run(tables(empty_database_url))
    assert asyncio.run(missing(empty_database_url)) is None
    command.downgrade(alembic_config(empty_database_url), "base")
    assert asyncio.run(tables(empty_database_url)) == {VERSION_TABLE}
    migrate(empty_database_url)
    assert asyncio.run(missing(empty_database_url)) is None


def test_a_database_behind_the_code_names_the_remedy(empty_database_url: str) -> None:
    said = asyncio.run(missing(empty_database_url))
    assert said is not None and "app migrate" in said


@pytest.mark.postgresql_in_long
def test_the_models_and_the_migrations_agree(empty_database_url: str) -> None:
    migrate(empty_database_url)
    command.check(alembic_config(empty_database_url))


def test_a_database_that_a_newer_release_has_migrated_stays_as_it_is(empty_database_url: str) -> None:
    migrate(empty_database_url)
    asyncio.run(move_to(empty_database_url, "9999"))
    said = migrate(empty_database_url)
    assert said is not None and "at migration 9999, newer than" in said
    assert asyncio.run(missing(empty_database_url)) is None


async def move_to(url: str, revision: str) -> None:
    database = open_database(url)
    try:
        async with database.session() as session:
            await (await session.connection()).execute(
                text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
            )
    finally:
        await database.close()
