"""Alembic, called from the program: bring a database up to the code, and see whether it is."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from .. import COMMAND, NAME, ROOT
from ..errors import ConfigurationError, ServiceError
from . import Database, open_database

FIRST = Path("versions") / "0001_records.py"
"""What distinguishes our migrations from those of the application that the folder was copied into."""
VERSION_TABLE = "billing_alembic_version"
REMEDY = f"run `{COMMAND} migrate` with the same DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Schema:
    """The database's migration, and the newest that this code brings."""

    found: str | None
    expected: str
    known: frozenset[str]
    """All that this code brings."""

    QUERY: ClassVar[str] = f"SELECT version_num FROM {VERSION_TABLE}"

    @property
    def is_newer(self) -> bool:
        """Whether a newer release has migrated the database."""
        return self.found is not None and self.found not in self.known

    @property
    def problem(self) -> str | None:
        """Why the code cannot work on it, and the remedy; None when it can."""
        if self.is_newer or self.found == self.expected:
            return None
        return (
            f"The database is at migration {self.found or 'none'}, the code needs {self.expected}: {REMEDY}."
        )

    @property
    def note(self) -> str | None:
        """What is worth knowing, though the code works on it."""
        if not self.is_newer:
            return None
        return (
            f"The database is at migration {self.found}, newer than {self.expected} of this code. That is "
            "fine while a release is rolled out or taken back: let all processes run one release in the end."
        )


def scripts() -> Path:
    """Where the migrations are: beside this folder; inside it where it was copied elsewhere.

    Raises:
        ConfigurationError: when they are in neither place.
    """
    for folder in (ROOT / "alembic", ROOT.parent / "alembic"):
        if (folder / FIRST).is_file():
            return folder
    raise ConfigurationError(
        f"The service's migrations are missing: copy its folder alembic/ to {ROOT.name}/alembic/."
    )


def alembic_config(url: str) -> Config:
    """Alembic's configuration for a database, wherever the process was started."""
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["url"] = url
    config.attributes["package"] = NAME
    return config


def migrate(url: str, revision: str = "head") -> str | None:
    """Bring the database to a revision. Not from inside a running event loop: use `migrate_async` there.

    A database that a newer release has migrated stays as it is; returns what to say of that.

    Raises:
        ConfigurationError: when the migrations are not there, or the database cannot be reached.
    """
    config = alembic_config(url)
    with _reached(url):
        try:
            command.upgrade(config, revision)
        except CommandError:  # such as: "Can't locate revision"
            if note := asyncio.run(_schema_at(url)).note:
                return note
            raise
    return None


def migrate_if_behind(url: str) -> None:
    """Migrate only where that is needed: looking waits for nobody who writes. As `migrate` otherwise."""
    with _reached(url):
        schema = asyncio.run(_schema_at(url))
    if schema.problem:
        migrate(url)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """The block, with a sentence for a database that cannot be reached or does not take what is written."""
    try:
        yield
    except Exception as error:
        database = open_database(url)
        if isinstance(error, ServiceError) or not database.lies_under(error):
            raise
        raise ConfigurationError(f"Nothing was migrated. {database.why_unavailable(error)}") from None


async def migrate_async(url: str) -> str | None:
    """Bring the database to the newest revision; as `migrate`."""
    return await asyncio.to_thread(migrate, url)


async def read_schema(database: Database) -> Schema:
    """The database's migration, beside those of the code."""
    expected, known = _ours()
    async with database.reading() as session:
        found = await session.run_sync(
            lambda sync: MigrationContext.configure(
                sync.connection(), opts={"version_table": VERSION_TABLE}
            ).get_current_revision()
        )
    return Schema(found, expected, known)


def schema_of(found: Sequence[Mapping[str, Any]]) -> Schema:
    """The schema by the rows of `Schema.QUERY`."""
    expected, known = _ours()
    return Schema(found[0]["version_num"] if found else None, expected, known)


async def behind(database: Database) -> str | None:
    """What is wrong with the database's schema, and the remedy; None when the code works on it."""
    return (await read_schema(database)).problem


async def _schema_at(url: str) -> Schema:
    database = open_database(url)
    try:
        return await read_schema(database)
    finally:
        await database.close()


@cache
def _ours() -> tuple[str, frozenset[str]]:
    """The newest migration of the code, and all of them."""
    directory = ScriptDirectory.from_config(alembic_config(""))
    head = directory.get_current_head()
    assert head is not None
    return head, frozenset(each.revision for each in directory.walk_revisions())
