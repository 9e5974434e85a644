"""The database: the only package that knows which one it is."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ..errors import ConfigurationError
from .base import Batch, Database, Locks, Row

__all__ = ["Batch", "Database", "Locks", "Row", "is_sqlite", "open_database", "shown", "sqlite_path"]


def open_database(url: str, *, patient: bool = False) -> Database:
    """A database by its address, as people write it. Nothing is connected yet.

    `patient`: a statement may take as long as it likes, as migrations do.

    Raises:
        ConfigurationError: for an address of any other kind.
    """
    if is_sqlite(url):
        from .sqlite import SqliteDatabase

        return SqliteDatabase(sqlite_path(url))
    from .postgres import PostgresDatabase

    return PostgresDatabase(url, statement_timeout=None) if patient else PostgresDatabase(url)


def is_sqlite(url: str) -> bool:
    """Whether the address names a SQLite file rather than a PostgreSQL server.

    Raises:
        ConfigurationError: when it is neither.
    """
    kind = url.partition(":")[0].partition("+")[0].lower()  # no more of it: a parser's error would quote it
    if kind not in ("sqlite", "postgres", "postgresql"):
        raise ConfigurationError(
            "DATABASE_URL is neither PostgreSQL nor SQLite: write postgresql://user:password@host/name, "
            "or sqlite:///path/to/file.db, or leave it unset."
        )
    return kind == "sqlite"


def sqlite_path(url: str) -> Path:
    """The file that a `sqlite:///` address names.

    Raises:
        ConfigurationError: when it names none; a database in memory would forget every event.
    """
    path = url.partition("://")[2].partition("?")[0].removeprefix("/")
    if not path or path == ":memory:":
        raise ConfigurationError("DATABASE_URL names no file: write sqlite:///path/to/file.db.")
    return Path(path)


def shown(url: str) -> str:
    """Which database an address names, without user and password.

    Raises:
        ConfigurationError: for an address of any other kind.
    """
    if is_sqlite(url):
        return f"the SQLite file {sqlite_path(url)}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the PostgreSQL database of DATABASE_URL"
    host = parts.netloc.rpartition("@")[2] or next(iter(parse_qs(parts.query).get("host", ())), "localhost")
    return f"the PostgreSQL database {parts.path.removeprefix('/') or 'of the user'} on {host}"
