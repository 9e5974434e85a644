"""Alembic, called from the program: bring a database up to the code, and see whether it is."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from .db import Database

HERE = Path(__file__).resolve().parent
# Beside this folder; inside it where it was copied into another application.
SCRIPTS = HERE / "alembic" if (HERE / "alembic").is_dir() else HERE.parent / "alembic"
VERSION_TABLE = "billing_alembic_version"
REMEDY = "run `make migrate` (or `alembic upgrade head`) with the same DATABASE_URL"


def alembic_config(url: str) -> Config:
    """Alembic's configuration for a database, wherever the process was started."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["url"] = url
    config.attributes["package"] = __package__
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database to a revision. Not from inside a running event loop: use `migrate_async` there."""
    command.upgrade(alembic_config(url), revision)


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
