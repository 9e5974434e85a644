"""What tests count of the statements on an engine."""

import asyncio

from app.db import open_database

from .statements import executed


async def test_the_statements_of_a_task_that_ran_before_are_not_counted(sqlite_database: str) -> None:
    database, asked, answered = open_database(sqlite_database), asyncio.Event(), asyncio.Event()

    async def ask(number: int) -> None:
        async with database.reading() as session:
            await (await session.connection()).exec_driver_sql(f"SELECT {number}")

    async def in_the_background() -> None:
        await asked.wait()
        await ask(1)
        answered.set()

    background = asyncio.create_task(in_the_background())
    with executed(database.engine) as seen:
        asked.set()
        await answered.wait()
        await ask(2)
        await asyncio.create_task(ask(3))
    await ask(4)
    await background
    await database.close()
    assert [statement for _, statement in seen if statement != "BEGIN"] == ["SELECT 2", "SELECT 3"]
