"""JSON columns are read by orjson, and what it refuses by the standard library."""

import pytest

from app.db import open_database
from app.db.models import Override


@pytest.mark.parametrize("value", ["half \ud800", 2**60, ["ä", None, {"a": 1.5}]])
async def test_what_an_older_release_stored_is_read_as_it_was(sqlite_database: str, value: object) -> None:
    database = open_database(sqlite_database)
    try:
        async with database.session() as session:
            session.add(Override(user_id="ada", feature="projects", op="set", value=value, created_at=1))
        async with database.reading() as session:
            row = await session.get(Override, ("ada", "projects"))
            assert row is not None and row.value == value
    finally:
        await database.close()
