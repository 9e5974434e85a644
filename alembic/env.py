"""How Alembic reaches the database: the application's own engine, whichever database it is."""

import asyncio
from importlib import import_module
from typing import Literal

from alembic import context
from sqlalchemy import Connection, text

# The folder `app` may have another name where it was copied into another application.
package = context.config.attributes.get("package", "app")
db, models = import_module(f"{package}.db"), import_module(f"{package}.db.models")
settings, migrations = import_module(f"{package}.config"), import_module(f"{package}.db.migrations")

LOCK = 5_737_410_611_027


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=models.Record.metadata,
        version_table=migrations.VERSION_TABLE,
        include_name=is_ours,
        transactional_ddl=True,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Replicas that start together migrate one after the other.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """The application's own tables may live in the same database."""
    return kind != "table" or (name or "").startswith("billing_")


def render_item(kind: str, item: object, context: object) -> str | Literal[False]:
    """Name the column types that differ by database as `script.py.mako` does."""
    names = {id(models.IdText): "ID_TEXT", id(models.Json): "JSON"} if kind == "type" else {}
    return names.get(id(item), False)


async def main() -> None:
    url = context.config.attributes.get("url") or settings.DatabaseSettings().database_url
    database = db.open_database(url, patient=True)
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await database.close()


if context.is_offline_mode():
    raise SystemExit("Offline mode is not supported: Alembic needs the database.")
asyncio.run(main())
