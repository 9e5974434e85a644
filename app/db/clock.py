"""The database's clock, beside this process's: a clock that jumped must not delete what is not old."""

from collections.abc import Callable

from sqlalchemy import text

from .base import Database

MOST_APART_SECONDS = 60
NOW = {
    "postgresql": text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT) AS now"),
    "sqlite": text("SELECT CAST(strftime('%s', 'now') AS INTEGER) AS now"),
}


async def clocks_apart(database: Database, clock: Callable[[], float]) -> int:
    """How many seconds `clock` is ahead of the database's; negative where it is behind."""
    async with database.reading() as session:
        now = await (await session.connection()).scalar(NOW[database.name])
    return round(clock() - (now or 0))
