"""Tables that are full already: rows made by PostgreSQL itself, and a backlog that is copied in."""

import time
from collections.abc import Iterator

import asyncpg

from app.db.models import RULES_VERSION, EventState

from .workload import Event, events

DAY = 86_400
OLD_DAYS = 100
"""Older than the service keeps events by default."""
EVENTS_A_SUBSCRIPTION = 5
# The workload's renewals find these subscriptions: `workload.token` makes the same ids.
SUBSCRIPTIONS = """
INSERT INTO billing_subscription (id, customer_id, user_id, link_source, links, status, items, plan_id,
    quantity, cancel_at_period_end, livemode, stripe_metadata, needs_refresh, snapshot_rank,
    snapshot_created, snapshot_burst, snapshot_event_id, version, updated_at, rules_version,
    rules_row_version)
SELECT 'sub_1' || token, 'cus_1' || token, 'user_1' || token, 'customer', '{}', 'active', '[]', 'price_team',
    1, false, false, '{}', false, 1, 1700000000, 1, 'evt_1' || token, 1, 1700000000, $3::integer, 1
FROM (SELECT substr(md5(n::text), 1, 23) AS token FROM generate_series($1::bigint, $2::bigint - 1) AS n) AS t
ON CONFLICT DO NOTHING
"""
CUSTOMERS = """
INSERT INTO billing_customer (id, user_id, link_source, links, livemode, deleted, needs_refresh,
    snapshot_burst, version, updated_at, rules_version, rules_row_version)
SELECT 'cus_1' || token, 'user_1' || token, 'metadata', '{}', false, false, false, 0, 1, 1700000000,
    $3::integer, 1
FROM (SELECT substr(md5(n::text), 1, 23) AS token FROM generate_series($1::bigint, $2::bigint - 1) AS n) AS t
ON CONFLICT DO NOTHING
"""
EVENTS = """
INSERT INTO billing_event (id, type, object_id, created, livemode, source, body, received_at, state, attempts,
    processed_at)
SELECT 'evt_1' || substr(md5('seed.' || n), 1, 23), 'customer.subscription.updated',
    'sub_1' || substr(md5((n / 5)::text), 1, 23), 1600000000 + n % 5, false, 'stripe',
    '{"object": "event"}', CASE WHEN n < $3::bigint THEN $4::bigint ELSE $5::bigint END + n / 100,
    'processed', 1, $5::bigint
FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""


async def seed(url: str, subscriptions: range, old: int, now: int) -> None:
    """Add the subscriptions with these numbers, their customers, and five events of each.

    The first `old` events are past their retention.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(SUBSCRIPTIONS, subscriptions.start, subscriptions.stop, RULES_VERSION)
        await connection.execute(CUSTOMERS, subscriptions.start, subscriptions.stop, RULES_VERSION)
        first, last = (n * EVENTS_A_SUBSCRIPTION for n in (subscriptions.start, subscriptions.stop))
        long_ago, lately = now - OLD_DAYS * DAY - old, now - DAY - last
        await connection.execute(EVENTS, first, last, old, long_ago, lately)
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def add_backlog(url: str, start: int, count: int) -> None:
    """Events of the workload that a handler once failed on, all due."""
    columns = ("id", "type", "created", "livemode", "source", "body", "received_at", "state", "attempts")
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table(
            "billing_event",
            records=_backlog(start, count, int(time.time())),
            columns=(*columns, "failing_since", "next_attempt_at"),
        )
        await connection.execute("VACUUM (ANALYZE) billing_event")
    finally:
        await connection.close()


def _backlog(start: int, count: int, now: int) -> Iterator[tuple[object, ...]]:
    for event in events(start, count):
        yield _failed(event, now)


def _failed(event: Event, now: int) -> tuple[object, ...]:
    kept = (event.id, event.type, 1_893_456_000, False, "stripe", event.body.decode(), now)
    return (*kept, EventState.FAILED, 1, now, 0)


async def count(url: str, condition: str = "true") -> int:
    """How many events there are."""
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval(f"SELECT count(*) FROM billing_event WHERE {condition}")
    finally:
        await connection.close()
    return found
