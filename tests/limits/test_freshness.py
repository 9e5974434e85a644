"""Drift is repaired, and what another process changed is seen in time."""

from pathlib import Path

import pytest

from app import limits
from app.limits import LimitExceeded
from app.limits.cache import MAX_AGE_SECONDS
from app.signals import users_changed

from ..client import Client, running
from .helpers import Clock, consume, subscribe

pytestmark = pytest.mark.postgresql_in_long


async def test_reconcile_reports_drift_before_it_repairs(client: Client) -> None:
    await consume(client, "ada", "projects", 2)
    await consume(client, "bob", "projects", 1)

    async def count() -> dict[str, int]:
        return {"ada": 3, "bob": 1, "cleo": 1}

    expected = [("ada", 2, 3), ("cleo", 0, 1)]
    found = await limits.reconcile("projects", count)
    assert [(drift.user_id, drift.used, drift.counted) for drift in found] == expected
    assert not any(drift.repaired for drift in found)
    repaired = await limits.reconcile("projects", count, dry_run=False)
    assert all(drift.repaired for drift in repaired)
    assert await limits.reconcile("projects", count) == []


async def test_a_preview_says_what_would_be_over(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "projects", 8)
    previewed = (await limits.preview("ada", plan="free"))["projects"]
    assert (previewed.limit_now, previewed.limit_then, previewed.used, previewed.over) == (10, 3, 8, 5)


async def test_what_another_process_changed_is_seen_when_the_answer_has_aged(
    client: Client, clock: Clock, database_url: str, plans_file: Path
) -> None:
    assert (await limits.load("ada")).plan == "free"
    here = client.app.state.billing.limits
    async with running(database_url, clock=clock, plans_file=plans_file) as other:
        await subscribe(other, clock)
    clock.now += MAX_AGE_SECONDS
    assert (await here.load("ada")).plan == "team"


async def test_a_stale_answer_never_lets_too_many_through(
    client: Client, clock: Clock, plans_file: Path
) -> None:
    """The guard compares the version in the database: what is remembered here may be as old as it likes."""
    account, subscription = await subscribe(client, clock)
    service = client.app.state.billing
    async with service.database.reading() as session:
        remembered = await service.limits.snapshots.read(await session.connection(), "ada")
    account.advance(5)
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    service.limits.snapshots._cache._entries["ada"] = remembered
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 4)


async def test_what_was_read_before_the_clock_was_set_back_is_read_again(
    client: Client, clock: Clock, database_url: str, plans_file: Path
) -> None:
    here = client.app.state.billing.limits
    clock.now += 86_400
    assert (await here.load("ada")).plan == "free"
    clock.now -= 86_400
    users_changed.disconnect(here.snapshots.on_users_changed)  # as of another process
    async with running(database_url, clock=clock, plans_file=plans_file) as other:
        await subscribe(other, clock)
    assert (await here.load("ada")).plan == "team"


async def test_metrics_are_read_after_the_clock_was_set_back(client: Client, clock: Clock) -> None:
    here = client.app.state.billing.limits
    clock.now += 86_400
    await here.load("ada")
    assert (await client.get("/metrics")).status_code == 200
    clock.now -= 86_400
    await here.load("ada")
    assert (await client.get("/metrics")).status_code == 200
