"""Limits where things come late, at once, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app import limits
from app.db import open_database
from app.db.models import AuditEntry
from app.errors import InvalidRequest
from app.limits import LimitExceeded
from app.limits.keys import KEY_SECONDS
from app.plans import MAX_AMOUNT
from app.service import Service
from app.simulator import DAY, Account, Subscription

from ..client import AUTH, Client, running
from .helpers import PLANS, Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long

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


def late(account: Account, clock: Clock) -> None:
    """An hour past the end of the first period: its renewal is awaited."""
    clock.now += 30 * DAY + 3600
    account.advance(30 * DAY + 3600)


async def renew(client: Client, account: Account, subscription: Subscription) -> None:
    before = len(account.events)
    account.renew(subscription)
    await client.deliver(*account.events[before:])


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
@pytest.mark.rest_in_long(1)
async def test_what_is_first_used_while_a_renewal_is_awaited_counts_in_the_old_period(
    client: Client, clock: Clock, first: int
) -> None:
    account, subscription = await subscribe(client, clock)
    late(account, clock)
    await consume(client, "ada", "tokens", first)
    await renew(client, account, subscription)
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


async def test_a_hold_that_ends_while_it_is_committed_is_denied_like_any_other(
    client: Client, clock: Clock
) -> None:
    await consume(client, "ada", "projects", 2)
    snapshots = service_of(client).limits.snapshots
    async with limits.reserve("ada", "projects", 1, ttl=5) as hold:
        moments = iter([clock.now])  # the first look at the clock is in time, those after it are not
        clock.now += 10
        snapshots.clock = lambda: next(moments, clock.now)
        with pytest.raises(LimitExceeded):
            await hold.commit(2)


async def test_what_was_held_before_the_limit_was_lowered_is_taken_and_allowed(
    client: Client, clock: Clock
) -> None:
    account, subscription = await subscribe(client, clock)
    async with limits.reserve("ada", "projects", 5) as hold:
        before = len(account.events)
        account.cancel_now(subscription)
        await client.deliver(*account.events[before:])
        assert (await limits.load("ada")).limit("projects") == 3
        decision = await hold.commit(5)
    assert (decision.allowed, decision.reason, decision.used, decision.remaining) == (True, "ok", 5, 0)
    assert decision.upgrade_to == ()


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
    assert await worker.pruner.prune_keys() == 2
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


def counting(counted: Mapping[str, Any]) -> Callable[[], Awaitable[Mapping[str, int]]]:
    async def count() -> Mapping[str, int]:
        return counted

    return count


async def test_a_renewal_that_comes_late_opens_its_period_though_all_was_used_before(
    client: Client, clock: Clock
) -> None:
    account, subscription = await subscribe(client, clock)
    late(account, clock)
    await consume(client, "ada", "tokens", ALLOWANCE)
    await renew(client, account, subscription)
    assert (await consume(client, "ada", "tokens", 1)).used == 1


@pytest.mark.parametrize("number", [-1, 2.5, True, MAX_AMOUNT + 1])
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.rest_in_long(4)
async def test_a_count_that_cannot_be_one_repairs_nothing(
    client: Client, number: float, dry_run: bool
) -> None:
    await consume(client, "ada", "projects", 2)
    with pytest.raises(InvalidRequest):
        await limits.reconcile("projects", counting({"aaa": 1, "ada": number}), dry_run=dry_run)
    assert (await limits.load("ada")).check("projects").used == 2
    assert (await limits.load("aaa")).check("projects").used == 0


@pytest.mark.parametrize("feature", ["sso", "max_upload_mb"])
async def test_what_is_not_counted_cannot_be_reconciled(client: Client, feature: str) -> None:
    with pytest.raises(InvalidRequest):
        await limits.reconcile(feature, counting({}))


@pytest.mark.parametrize("feature", ["api_calls", "tokens"])
@pytest.mark.parametrize("counted", [{}, {"ada": 3}])
async def test_usage_of_a_period_that_is_over_is_not_compared_with_a_count_of_the_next(
    client: Client, clock: Clock, feature: str, counted: dict[str, int]
) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", feature, 3)
    clock.now += 31 * DAY
    account.advance(31 * DAY)
    await renew(client, account, subscription)
    drifts = await limits.reconcile(feature, counting(counted), dry_run=False)
    assert {drift.user_id: (drift.used, drift.counted, drift.repaired) for drift in drifts} == {
        user: (0, number, True) for user, number in counted.items()
    }
    assert (await limits.load("ada")).check(feature).used == counted.get("ada", 0)


async def test_usage_of_a_period_that_stays_open_for_a_renewal_is_compared(
    client: Client, clock: Clock
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "tokens", 3)
    clock.now += 30 * DAY + 3600
    assert await limits.reconcile("tokens", counting({"ada": 3})) == []


async def test_usage_that_is_set_counts_in_the_period_that_another_process_has_just_opened(
    client: Client, clock: Clock, database_url: str
) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "tokens", 3)
    late(account, clock)
    database = open_database(database_url)
    try:
        other = limits.Limits(database, service_of(client).limits.catalogue, clock)
        await other.load("ada")
        await renew(client, account, subscription)
        async with database.session() as session:
            await other.set_usage(session, "ada", "tokens", 7)
    finally:
        await database.close()
    assert (await limits.load("ada")).check("tokens").used == 7


@pytest.mark.parametrize("user_id", ["", "a\x00b", "a" * 256, "line\nbreak"])
async def test_what_cannot_be_a_user_is_refused_with_what_one_is(client: Client, user_id: str) -> None:
    with pytest.raises(InvalidRequest, match="user_id: a text of 1 to 255 printable characters"):
        await limits.load(user_id)
    with pytest.raises(InvalidRequest, match="user_id"):
        await consume(client, user_id, "projects", 1)


@pytest.mark.parametrize("ttl", [0, 2**63 - 1, 1.5, True])
async def test_a_hold_lasts_for_some_seconds_up_to_a_month(client: Client, ttl: int) -> None:
    with pytest.raises(InvalidRequest, match="ttl: a whole number of seconds"):
        async with limits.reserve("ada", "projects", 1, ttl=ttl):
            pass
    assert (await limits.load("ada")).check("projects").used == 0
