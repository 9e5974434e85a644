"""Reservations: usage that is held, then committed or released."""

import pytest

from app import limits
from app.limits import LimitExceeded

from ..client import Client
from .helpers import Clock, consume, subscribe


async def test_a_reservation_counts_until_it_is_finished(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 800, ttl=60) as hold:
        with pytest.raises(LimitExceeded):
            await consume(client, "ada", "tokens", 300)
        assert (await consume(client, "ada", "tokens", 200)).used == 1000
        assert (await hold.commit(500)).used == 700
    assert (await consume(client, "ada", "tokens", 300)).used == 1000


async def test_a_hold_that_is_not_committed_is_released(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    with pytest.raises(ZeroDivisionError):
        async with limits.reserve("ada", "tokens", 1000):
            raise ZeroDivisionError
    assert (await consume(client, "ada", "tokens", 1000)).used == 1000


async def test_a_hold_past_its_time_counts_no_more_and_commits_as_an_ordinary_consume(
    client: Client, clock: Clock
) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 900, ttl=60) as hold:
        clock.now += 61
        assert (await consume(client, "ada", "tokens", 400)).used == 400
        with pytest.raises(LimitExceeded):
            await hold.commit(900)
        assert (await hold.commit(600)).used == 1000


async def test_what_is_remembered_of_a_user_counts_no_hold_past_its_time(
    client: Client, clock: Clock
) -> None:
    async with limits.reserve("ada", "projects", 2, ttl=60), limits.reserve("ada", "api_calls", 4, ttl=63):
        clock.now += 59
        assert (await limits.load("ada")).usage == {"projects": 2, "api_calls": 4}
        clock.now += 1
        entitlements = await limits.load("ada")
        assert entitlements.usage == {"projects": 0, "api_calls": 4} and entitlements.check(
            "projects", None, 3
        )
        clock.now += 3
        assert (await limits.load("ada")).usage == {"projects": 0, "api_calls": 0}


async def test_more_than_was_held_is_taken_only_within_the_limit(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 100) as hold:
        with pytest.raises(LimitExceeded):
            await hold.commit(1001)
        assert (await hold.commit(1000)).used == 1000
