"""Whether a SQLite file takes a write now, and what its errors mean for somebody who has to repair it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .. import COMMAND
from .disk import disk_of

BUSY_SECONDS = 1.5
"""How long a trial waits for another writer: less than whoever asks is ready to wait."""


def try_to_write(
    path: Path, query: str, statements: Sequence[tuple[str, Sequence[Any]]]
) -> list[dict[str, Any]]:
    """Run a query and statements, undo them, and commit nothing but a page that stays as it is.

    A cache of one page makes SQLite write to its log what is undone later, so a full disk shows. The commit
    shows a disk that does not sync.

    Raises:
        sqlite3.Error: when a transaction could not be committed now.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"  # a file that is not there is not made
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        found = [dict(row) for row in connection.execute(query)]
        connection.execute("SAVEPOINT trial")
        for statement, parameters in statements:
            connection.execute(statement, parameters)
        connection.execute("ROLLBACK TO trial")
        connection.execute("UPDATE billing_alembic_version SET version_num = version_num")
        connection.execute("COMMIT")
    return found


def why_not_writable(path: Path, error: BaseException) -> str:
    """The cause with the path and the disk, a colon, and the remedy."""
    file, disk = f"The SQLite file {path}", disk_of(path)
    code = getattr(error, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return f"{file} cannot be written, as its disk is full ({disk}): free space there."
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"{file} is held by another process: find out which writes for so long, and end it."
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return (
                f"{file} cannot be opened for writing ({disk}): see that it and its folder exist, belong to "
                "this user, and are on a disk that is mounted writable; or correct DATABASE_URL."
            )
        case sqlite3.SQLITE_IOERR:
            return (
                f"{file} cannot be written durably ({error}; {disk}): free space there, or look at the disk."
            )
        case sqlite3.SQLITE_ERROR if "no such" in str(error):
            return f"{file} lacks a migration: run `{COMMAND} migrate` with the same DATABASE_URL."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                f"{file} is damaged, or no SQLite file: bring it back from a backup, or correct DATABASE_URL."
            )
        case _:
            return (
                f"{file} does not answer ({type(error).__name__}; {disk}): check that DATABASE_URL names it, "
                "and that its disk works."
            )
