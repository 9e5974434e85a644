"""The plans of a batch's statements on PostgreSQL, which a connection keeps."""

from app.db.models import WebhookEvent, table_of
from app.db.postgres import PostgresDatabase
from app.db.postgres_batch import PostgresBatch
from app.inbox.kinds import KINDS, tables_of

from ..databases import run_sql

EVENTS = """
INSERT INTO billing_event (id, type, source, body, received_at, state, attempts)
SELECT 'evt_' || n, 'customer.updated', 'stripe', 'body', n, 'processed', 1 FROM generate_series({}, {}) AS n
"""
NAMES = "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT (SELECT json_agg(t)%'"


IDS = [f"evt_{number}" for number in range(30)]
"""As many as a busy batch looks for: for one alone PostgreSQL makes another plan."""


async def load(batch: PostgresBatch) -> None:
    await batch.begin(())
    await batch.load(tables_of(dict.fromkeys(KINDS, IDS)), known=(table_of(WebhookEvent), IDS))


async def plan_of_the_load(database: PostgresDatabase) -> str:
    """The plan by which the connection's next batch would look for events."""
    async with database.batch() as batch:
        await load(batch)
        ((name,),) = await batch._connection.fetch(NAMES)
        ids = f"ARRAY{IDS}"
        rows = await batch._connection.fetch(
            f'EXPLAIN EXECUTE "{name}"({", ".join([ids] * (len(KINDS) + 1))})'
        )
    return "\n".join(str(row[0]) for row in rows)


async def test_a_plan_that_was_made_for_an_all_but_empty_table_is_not_kept_for_long(
    postgres_database: str,
) -> None:
    await run_sql(postgres_database, "TRUNCATE billing_event", EVENTS.format(1, 3), "ANALYZE billing_event")
    database = PostgresDatabase(postgres_database)
    try:
        for _ in range(7):
            async with database.batch() as batch:
                await load(batch)
        assert "pk_billing_event" not in await plan_of_the_load(database)  # three rows are read soonest
        await run_sql(postgres_database, EVENTS.format(4, 3000))
        for _ in range(8):
            async with database.batch() as batch:
                await load(batch)
        assert "pk_billing_event" in await plan_of_the_load(database)
    finally:
        await database.close()
