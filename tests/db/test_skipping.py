"""An item that fails is logged and passed over; while the database is down, nothing is."""

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.db import open_database
from app.db.skipping import skipped_on_error


async def test_one_that_fails_keeps_no_other_from_being_done(tmp_path: Path) -> None:
    database, done = open_database(f"sqlite:///{tmp_path / 'app.db'}"), []
    with capture_logs() as logs:
        for item in (1, 2, 3):
            with skipped_on_error("not_done", database, item=item):
                if item == 2:
                    raise LookupError("a fault of ours")
                done.append(item)
    await database.close()
    assert done == [1, 3]
    assert logs == [{"event": "not_done", "error": "LookupError", "item": 2, "log_level": "warning"}]


async def test_a_database_that_is_down_ends_the_work(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'app.db'}")
    with pytest.raises(sqlite3.OperationalError), skipped_on_error("not_done", database):
        raise sqlite3.OperationalError("database is locked")
    await database.close()
