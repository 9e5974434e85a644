"""Limits where things come late, at once, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app import limits
from app.db import open_database
from app.limits import LimitExceeded
from app.limits.usage import KEY_SECONDS
from app.models import AuditEntry
from app.service import Service
from app.simulator import DAY

from .client import AUTH, Client, running
from .test_limits import PLANS, Clock, consume, release, subscribe

ALLOWANCE = 1000
"""Of tokens, for a period of the plan `team`."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def taken_in_one_period(client: Client, clock: Clock, amount: int) -> int:
    total = 0
    for _ in range(28):
        try:
            await consume(client, "ada", "tokens", amount)
            total += amount
        except LimitExceeded:
            pass
        clock.now += DAY
    return total


@pytest.mark.parametrize("first", [1, ALLOWANCE])
async def test_what_is_first_used_while_a_renewal_is_awaited_counts_in_the_old_period(
    client: Client, clock: Clock, first: int
) -> None:
    account, subscription = await subscribe(client, clock)
    late = 30 * DAY + 3600
    clock.now += late
    account.advance(late)
    await consume(client, "ada", "tokens", first)
    before = len(account.events)
    account.renew(subscription)
    await client.deliver(*account.events[before:])
    assert await taken_in_one_period(client, clock, 500) == ALLOWANCE


async def test_while_a_renewal_is_awaited_the_end_of_access_is_when_usage_resets_at_the_latest(
    client: Client, clock: Clock
) -> None:
    await subscribe(client, clock)
    clock.now += 30 * DAY + 3600
    entitlements = await limits.load("ada")
    resets_at = entitlements.check("tokens").resets_at
    assert resets_at is not None and resets_at > clock.now
    assert resets_at == entitlements.resets_at("tokens", int(clock.now))


@pytest.mark.parametrize("actual", [1, 2])
async def test_a_hold_is_committed_beyond_what_it_holds_though_the_user_has_changed(
    client: Client, database_url: str, actual: int
) -> None:
    await consume(client, "ada", "projects", 1)
    other = open_database(database_url)
    try:
        async with limits.reserve("ada", "projects", 1) as hold:
            async with other.session() as session:
                await other.count_up(session, "ada")  # as another process does after a webhook
            assert (await hold.commit(actual)).used == 1 + actual
    finally:
        await other.close()


async def test_a_hold_past_its_time_is_no_part_of_what_is_asked_for(client: Client, clock: Clock) -> None:
    async with limits.reserve("ada", "projects", 1, ttl=5) as hold:
        clock.now += 10
        await consume(client, "ada", "projects", 2)
        with pytest.raises(LimitExceeded):
            await hold.commit(2)


async def test_what_is_loaded_before_the_commit_is_read_again_after_it(client: Client) -> None:
    await limits.load("ada")
    async with service_of(client).database.session() as session:
        await limits.consume_many(session, "ada", {"projects": 3})  # ends a savepoint
        await limits.load("ada")
    assert (await limits.load("ada")).check("projects").used == 3


async def test_a_session_of_many_transactions_gathers_no_listeners(client: Client) -> None:
    async with AsyncSession(service_of(client).database.engine, expire_on_commit=False) as session:
        for number in range(20):
            async with session.begin():
                await limits.consume(session, "ada", "storage_bytes", 1)
            assert (await limits.load("ada")).check("storage_bytes").used == number + 1
        assert len(list(session.sync_session.dispatch.after_transaction_end)) == 1


async def test_overrides_put_at_once_are_all_answered_and_one_holds(client: Client) -> None:
    async def put(value: int) -> int:
        body = {"op": "add", "value": value, "reason": "promised", "actor": "ada"}
        address = "/internal/users/ada/overrides/projects"
        return (await client.http.put(address, json=body, headers=AUTH)).status_code

    assert set(await asyncio.gather(*(put(value) for value in range(1, 6)))) == {200}
    async with service_of(client).database.reading() as session:
        trail = list(await session.exec(select(AuditEntry).where(col(AuditEntry.subject) == "ada")))
    assert [entry.before is None for entry in trail].count(True) == 1


async def test_a_limit_that_is_set_for_one_user_is_no_soft_one(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    soft = [feature for feature, each in (await limits.load("ada")).features.items() if each.soft]
    assert soft, "the plan has a soft limit"
    body = {"op": "set", "value": 2, "reason": "too much", "actor": "ada"}
    answer = await client.http.put(f"/internal/users/ada/overrides/{soft[0]}", json=body, headers=AUTH)
    assert answer.status_code == 200
    await consume(client, "ada", soft[0], 2)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", soft[0], 1)


async def test_keys_are_deleted_once_they_are_remembered_no_longer(client: Client, clock: Clock) -> None:
    worker = service_of(client).worker
    for number in range(3):
        await consume(client, "ada", "storage_bytes", 1, key=f"key-{number}")
        clock.now += 60
    clock.now += KEY_SECONDS - 120  # the last is still remembered
    assert await worker.prune_keys() == 2
    await consume(client, "ada", "storage_bytes", 1, key="key-2")
    assert (await limits.load("ada")).check("storage_bytes").used == 3


async def test_usage_that_moved_and_moved_back_while_it_was_counted_is_left_alone(client: Client) -> None:
    await consume(client, "ada", "projects", 2)

    async def count() -> dict[str, int]:
        await consume(client, "ada", "projects", 1)
        counted = {"ada": 3}
        await release(client, "ada", "projects", 1)
        return counted

    (drift,) = await limits.reconcile("projects", count, dry_run=False)
    assert not drift.repaired
    assert (await limits.load("ada")).check("projects").used == 2


async def test_usage_that_appeared_while_it_was_counted_is_left_alone(client: Client) -> None:
    async def count() -> dict[str, int]:
        await consume(client, "ada", "projects", 1)
        return {"ada": 2}

    (drift,) = await limits.reconcile("projects", count, dry_run=False)
    assert not drift.repaired
    assert (await limits.load("ada")).check("projects").used == 1


async def test_a_load_that_fails_leaves_nothing_behind(client: Client) -> None:
    snapshots = service_of(client).limits.snapshots
    async with service_of(client).database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE billing_customer RENAME TO gone"))
    for number in range(3):
        with pytest.raises(Exception, match="billing_customer"):
            await limits.load(f"user_{number}")
    assert not snapshots._cache._loading
