"""Alembic, called from the program: bring a database up to the code, and see whether it is."""

import asyncio
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from .. import NAME, ROOT
from ..errors import ConfigurationError
from . import Database

FIRST = Path("versions") / "0001_records.py"
"""What tells our migrations from those of the application that the folder was copied into."""
VERSION_TABLE = "billing_alembic_version"
REMEDY = f"run `python -m {NAME} migrate` (or `make migrate`) with the same DATABASE_URL"


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


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database to a revision. Not from inside a running event loop: use `migrate_async` there.

    Raises:
        ConfigurationError: when the migrations are not there, or the database cannot be reached.
    """
    config = alembic_config(url)
    try:
        command.upgrade(config, revision)
    except (
        OSError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
    ) as error:
        raise ConfigurationError(
            f"The database cannot be reached ({type(error).__name__}). Check that it runs, and that "
            "DATABASE_URL names it with the right host, user, password and database."
        ) from None


async def migrate_async(url: str) -> None:
    """Bring the database to the newest revision."""
    await asyncio.to_thread(migrate, url)


async def behind(database: Database) -> str | None:
    """What is wrong with the database's schema, and the remedy; None when it fits the code."""
    expected = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    async with database.reading() as session:
        found = await session.run_sync(
            lambda sync: MigrationContext.configure(
                sync.connection(), opts={"version_table": VERSION_TABLE}
            ).get_current_revision()
        )
    if found == expected:
        return None
    return f"The database is at migration {found or 'none'}, the code needs {expected}: {REMEDY}."
