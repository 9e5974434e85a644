"""Events, their files, and how they are drained, for the tests of the spool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from app.service import Service

from ...client import Client


@asynccontextmanager
async def no_inbox_table(client: Client) -> AsyncIterator[None]:
    """The database refuses every event meanwhile."""
    engine = client.app.state.billing.database.engine
    for names in (("billing_event", "gone"), ("gone", "billing_event")):
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE {names[0]} RENAME TO {names[1]}"))
        if names[1] == "gone":
            yield


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.event"))


async def drain(client: Client) -> int:
    service: Service = client.app.state.billing
    return await service.spool.drain(service.inbox)
