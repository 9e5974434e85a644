"""The tables that the benchmarks fill: rows that the service could have written."""

import time

import asyncpg

from app.inbox import handlers
from app.service import Service, make_service
from app.stripe.events import parse
from app.worker.worker import BATCH
from benchmarks.growth import FAILED, OLD, RETENTION_DAYS, TRUNCATE
from benchmarks.seeding import EVENTS_A_SUBSCRIPTION, add_backlog, count, seed
from benchmarks.workload import events
from tests.client import settings_for
from tests.databases import run_sql

SUBSCRIPTIONS, OLD_EVENTS, BACKLOG = 150, 200, BATCH + 30
BLOCK = 512


def service(url: str) -> Service:
    handlers.connect()
    return make_service(settings_for(url, event_retention_days=RETENTION_DAYS), time.time)


async def test_the_workloads_renewals_find_the_subscriptions(postgres_database: str) -> None:
    await seed(postgres_database, range(50), 0, int(time.time()))
    await seed(postgres_database, range(50, SUBSCRIPTIONS), 0, int(time.time()))
    names = [parse(event.body).names for event in events(0, BLOCK)]
    connection = await asyncpg.connect(postgres_database)
    for kind in ("subscription", "customer"):
        wanted = {id for name in names for id in name[kind]}
        sql = f"SELECT count(*) FROM billing_{kind} WHERE id = ANY($1)"
        assert await connection.fetchval(sql, list(wanted)) == len(wanted)
    await connection.close()
    assert await count(postgres_database) == SUBSCRIPTIONS * EVENTS_A_SUBSCRIPTION


async def test_the_old_events_are_those_that_the_service_prunes(postgres_database: str) -> None:
    await seed(postgres_database, range(SUBSCRIPTIONS), OLD_EVENTS, int(time.time()))
    assert await count(postgres_database, OLD) == OLD_EVENTS
    parts = service(postgres_database)
    assert await parts.worker.pruner.prune_events() == OLD_EVENTS
    assert await count(postgres_database, OLD) == 0
    await parts.database.close()


async def test_the_backlog_is_drained_to_the_last_event(postgres_database: str) -> None:
    await add_backlog(postgres_database, 0, BACKLOG)
    assert await count(postgres_database, FAILED) == BACKLOG
    parts = service(postgres_database)
    parts.inbox.start()
    assert [await parts.worker.retry_due(), await parts.worker.retry_due()] == [BATCH, BACKLOG - BATCH]
    await parts.inbox.stop()
    await parts.database.close()
    assert await count(postgres_database, "state = 'processed'") == BACKLOG
    await run_sql(postgres_database, TRUNCATE)
    assert await count(postgres_database) == 0
