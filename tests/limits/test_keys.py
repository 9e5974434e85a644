"""An idempotency key takes once; several features are taken together or not at all."""

import asyncio

import pytest

from app import limits
from app.errors import Conflict
from app.limits import LimitExceeded
from app.observability import metrics
from app.simulator import DAY

from ..client import Client
from .helpers import Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long


async def test_a_key_takes_once_and_answers_alike_for_seven_days(client: Client, clock: Clock) -> None:
    first = await consume(client, "ada", "projects", 2, key="request-1")
    assert await consume(client, "ada", "projects", 2, key="request-1") == first
    assert (await limits.load("ada")).check("projects").used == 2
    with pytest.raises(Conflict):
        await consume(client, "ada", "projects", 1, key="request-1")
    clock.now += 7 * DAY + 1
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 2, key="request-1")


async def test_a_denial_is_not_remembered_under_a_key(client: Client, clock: Clock) -> None:
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 4, key="request-1")
    await subscribe(client, clock)
    assert (await consume(client, "ada", "projects", 4, key="request-1")).used == 4


async def test_a_key_of_consume_is_none_of_release_nor_of_another_feature_or_user(client: Client) -> None:
    await consume(client, "ada", "projects", 2, key="k")
    assert (await release(client, "ada", "projects", 1, key="k")).used == 1
    assert (await release(client, "ada", "projects", 1, key="k")).used == 1
    assert (await consume(client, "ada", "storage_bytes", 1, key="k")).used == 1
    assert (await consume(client, "bob", "projects", 3, key="k")).used == 3


async def test_a_release_of_more_than_is_used_says_so_and_is_counted(client: Client) -> None:
    counter = metrics.OVER_RELEASED.labels("storage_bytes")
    before = counter._value.get()
    await consume(client, "ada", "storage_bytes", 5)
    enough = await release(client, "ada", "storage_bytes", 5)
    assert (enough.allowed, enough.reason, enough.used) == (True, "ok", 0)
    await consume(client, "ada", "storage_bytes", 5)
    more = await release(client, "ada", "storage_bytes", 6, key="k")
    assert (more.allowed, more.reason, more.used) == (True, "over_released", 0)
    assert await release(client, "ada", "storage_bytes", 6, key="k") == more
    never = await release(client, "bob", "storage_bytes")
    assert (never.reason, never.used) == ("over_released", 0)
    assert counter._value.get() - before == 2


async def test_of_eight_releases_at_once_those_of_more_than_is_used_say_so(client: Client) -> None:
    await consume(client, "ada", "storage_bytes", 5)
    decisions = await asyncio.gather(*(release(client, "ada", "storage_bytes", 2) for _ in range(8)))
    assert sorted(each.reason for each in decisions) == ["ok"] * 2 + ["over_released"] * 6
    assert sorted(each.used for each in decisions) == [0] * 6 + [1, 3]


async def test_fifty_uses_of_one_key_at_once_take_once(client: Client) -> None:
    decisions = await asyncio.gather(*(consume(client, "ada", "projects", key="k") for _ in range(50)))
    assert len(set(decisions)) == 1
    assert (await consume(client, "ada", "projects", 2)).used == 3


async def test_several_features_are_taken_together_or_not_at_all(client: Client) -> None:
    database = client.app.state.billing.database
    async with database.session() as session:
        taken = await limits.consume_many(session, "ada", {"storage_bytes": 7, "projects": 2})
        assert list(taken) == ["projects", "storage_bytes"]
        with pytest.raises(LimitExceeded):
            await limits.consume_many(session, "ada", {"storage_bytes": 2**40, "api_calls": 1})
    usage = (await limits.load("ada")).usage
    assert usage == {"projects": 2, "storage_bytes": 7}


async def test_a_key_of_several_features_takes_once_and_is_no_key_of_others(client: Client) -> None:
    database = client.app.state.billing.database
    for _ in range(2):
        async with database.session() as session:
            await limits.consume_many(session, "ada", {"api_calls": 1, "projects": 1}, key="k")
    async with database.session() as session:
        with pytest.raises(Conflict, match="for projects alone"):
            await limits.consume_many(session, "ada", {"projects": 1, "storage_bytes": 1}, key="k")
    assert (await limits.load("ada")).usage == {"api_calls": 1, "projects": 1}
