"""A column that is null in every row of a batch is written as null, of whatever type it is."""

import pytest

from app.db import Row, open_database
from app.db.models import Subscription, WebhookEvent, table_of
from app.inbox.kinds import DEFAULT_ROWS

FILLED = {"plan_id": "price_1", "quantity": 3, "ever_paid": True, "item_history": {"prices": {}}}


def rows(*values: Row) -> list[Row]:
    return [DEFAULT_ROWS[Subscription] | {"id": f"sub_{n}"} | each for n, each in enumerate(values)]


@pytest.mark.parametrize("last", [{}, FILLED])
async def test_nulls_replace_what_was_there_beside_rows_that_are_null_too_or_filled(
    database_url: str, last: Row
) -> None:
    table, database = table_of(Subscription), open_database(database_url)
    empty = dict.fromkeys(FILLED)
    empty["ever_paid"] = DEFAULT_ROWS[Subscription]["ever_paid"]
    try:
        for written in (rows(FILLED, FILLED, FILLED), rows(empty, empty, empty | last)):
            async with database.batch() as batch:
                await batch.begin(())
                await batch.write({table: written}, ())
            async with database.batch() as batch:
                await batch.begin(())
                ids = [row["id"] for row in written]
                loaded, _ = await batch.load({table: ids}, known=(table_of(WebhookEvent), ()))
                shown = {row["id"]: {name: row[name] for name in FILLED} for row in loaded[table]}
                assert shown == {row["id"]: {name: row[name] for name in FILLED} for row in written}
    finally:
        await database.close()
