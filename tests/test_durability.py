"""A 200 is durable whatever the database is set to."""

import pytest

from app.db import open_database

from .databases import run_sql


@pytest.mark.parametrize(("setting", "expected"), [("off", "on"), ("local", "local"), ("on", "on")])
async def test_a_batch_waits_for_the_disk_and_weakens_no_stronger_setting(
    postgres_database: str, setting: str, expected: str
) -> None:
    name = postgres_database.rpartition("/")[2]
    await run_sql(postgres_database, f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
    database = open_database(postgres_database)
    try:
        async with database.batch() as batch:
            await batch.begin(["event:evt_1"])
            (row,) = await batch.fetch("SELECT current_setting('synchronous_commit') AS value")
    finally:
        await database.close()
    assert row["value"] == expected
