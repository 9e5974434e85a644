"""Thresholds of usage are announced once for each limit and period, in the transaction that reaches them."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlmodel import col, select

from app import limits
from app.db.models import OutboxEntry
from app.limits.thresholds import thresholds_of
from app.reactions.outbox import FAN_OUT, LEASE_MARGIN_SECONDS, Outbox
from app.signals import Reaction
from app.simulator import DAY

from ...client import AUTH, Client
from ...reactions.conftest import listener as listener
from ...reactions.helpers import Listener, deliver_all, service_of
from ...statements import executed
from ...take_both_ways import sync_url
from ...waiting import until_idle
from ..helpers import START, Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def numbers() -> Iterator[int]:
    return itertools.count()


async def announced(client: Client, listener: Listener) -> list[tuple[str, float, int]]:
    """What was announced since the last time: signal, share and what was used then."""
    found = await reactions_of(client, listener)
    return sorted((each.signal, each.facts["share"], each.facts["used"]) for each in found)


async def reactions_of(client: Client, listener: Listener) -> list[Reaction]:
    listener.heard.clear()
    await until_idle(lambda: service_of(client).outbox.deliver_due(FAN_OUT))
    await deliver_all(client, listener)
    return [each for each in listener.heard if each.signal.startswith(("usage_", "limit_"))]


async def test_each_threshold_is_announced_by_the_use_that_reaches_it(
    client: Client, listener: Listener
) -> None:
    await consume(client, "ada", "api_calls", 49)
    assert await announced(client, listener) == []
    await consume(client, "ada", "api_calls", 1)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]
    await consume(client, "ada", "api_calls", 29)
    assert await announced(client, listener) == []
    await consume(client, "ada", "api_calls", 21)
    expected = [("limit_reached", 1.0, 100), ("usage_threshold_reached", 0.8, 100)]
    assert await announced(client, listener) == expected


async def test_a_reaction_says_what_was_used_of_what_and_in_which_period(
    client: Client, listener: Listener
) -> None:
    await consume(client, "ada", "api_calls", 50)
    (reaction,) = await reactions_of(client, listener)
    assert (reaction.user_id, reaction.at, reaction.facts["plan"]) == ("ada", START, "free")
    assert reaction.facts["period_start"] == START and reaction.facts["period_end"] == START + 31 * DAY
    facts = {name: reaction.facts[name] for name in ("feature", "used", "limit", "share", "soft")}
    assert facts == {"feature": "api_calls", "used": 50, "limit": 100, "share": 0.5, "soft": False}


async def test_within_a_period_nothing_is_announced_again_and_in_the_next_one_it_is(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await consume(client, "ada", "api_calls", 60)
    assert len(await announced(client, listener)) == 1
    await release(client, "ada", "api_calls", 20)
    await consume(client, "ada", "api_calls", 20)
    assert await announced(client, listener) == []
    clock.now += 31 * DAY
    await consume(client, "ada", "api_calls", 60)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 60)]


async def test_what_does_not_reset_is_announced_whenever_it_is_reached_from_below(
    client: Client, listener: Listener
) -> None:
    reached = [("usage_threshold_reached", 0.8, 8)]
    await consume(client, "ada", "projects", 8)
    assert await announced(client, listener) == reached
    await consume(client, "ada", "projects", 1)
    await release(client, "ada", "projects", 1)
    assert await announced(client, listener) == []
    await release(client, "ada", "projects", 1)
    await consume(client, "ada", "projects", 1)
    assert await announced(client, listener) == reached


async def test_another_limit_has_thresholds_of_its_own(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await consume(client, "ada", "api_calls", 90)
    await announced(client, listener)
    await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 69)
    assert await announced(client, listener) == []
    await consume(client, "ada", "api_calls", 1)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.8, 160)]


async def test_a_limit_that_was_lowered_below_the_usage_is_announced_with_the_next_use(
    client: Client, listener: Listener
) -> None:
    await consume(client, "ada", "api_calls", 40)
    body = {"op": "set", "value": 45, "reason": "Promised", "actor": "ops"}
    path = "/internal/users/ada/overrides/api_calls"
    assert (await client.http.put(path, json=body, headers=AUTH)).status_code == 200
    await consume(client, "ada", "api_calls", 1)
    expected = [("usage_threshold_reached", 0.5, 41), ("usage_threshold_reached", 0.8, 41)]
    assert await announced(client, listener) == expected


async def test_a_grant_raises_the_thresholds_and_what_is_drawn_from_it_counts(
    client: Client, listener: Listener
) -> None:
    async with service_of(client).database.session() as session:
        await limits.grant(session, "ada", "api_calls", 100, reason="outage")
    await consume(client, "ada", "api_calls", 99)
    assert await announced(client, listener) == []
    for _ in range(3):
        await consume(client, "ada", "api_calls", 30)
    expected = [("usage_threshold_reached", 0.5, 129), ("usage_threshold_reached", 0.8, 189)]
    assert await announced(client, listener) == expected
    await consume(client, "ada", "api_calls", 11)
    assert await announced(client, listener) == [("limit_reached", 1.0, 200)]


async def test_what_is_rolled_back_announces_nothing_and_the_next_use_does(
    client: Client, listener: Listener
) -> None:
    with pytest.raises(ConnectionError):
        async with service_of(client).database.session() as session:
            await limits.consume(session, "ada", "api_calls", 50)
            raise ConnectionError("of the application")
    assert await announced(client, listener) == []
    await consume(client, "ada", "api_calls", 50)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]


async def test_a_key_that_is_used_twice_announces_once(client: Client, listener: Listener) -> None:
    for _ in range(2):
        await consume(client, "ada", "api_calls", 50, key="report-7")
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]


async def test_a_reservation_is_announced_when_it_is_committed_and_by_what_was_used(
    client: Client, listener: Listener
) -> None:
    async with limits.reserve("ada", "api_calls", 60) as hold:
        assert await announced(client, listener) == []
        await hold.commit(50)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]
    async with limits.reserve("ada", "api_calls", 50):
        pass
    assert await announced(client, listener) == []


async def test_several_features_at_once_and_a_measured_usage_are_announced(
    client: Client, listener: Listener
) -> None:
    async with service_of(client).database.session() as session:
        await limits.consume_many(session, "ada", {"projects": 8, "api_calls": 50})
    assert len(await announced(client, listener)) == 2
    async with service_of(client).database.session() as session:
        await limits.set_usage(session, "ada", "api_calls", 80)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.8, 80)]


async def test_what_is_measured_is_announced_whenever_it_reaches_a_threshold_from_below(
    client: Client, listener: Listener
) -> None:
    async def measure(used: int) -> list[tuple[str, float, int]]:
        async with service_of(client).database.session() as session:
            await limits.set_usage(session, "ada", "projects", used)
        return await announced(client, listener)

    assert await measure(8) == [("usage_threshold_reached", 0.8, 8)]
    assert await measure(8) == await measure(9) == await measure(7) == []
    assert await measure(9) == [("usage_threshold_reached", 0.8, 9)]
    await release(client, "ada", "projects", 5)
    assert await measure(8) == [("usage_threshold_reached", 0.8, 8)]


async def test_a_synchronous_session_without_a_service_announces_too(
    client: Client, listener: Listener, database_url: str
) -> None:
    def use() -> None:
        engine = create_engine(sync_url(database_url))
        with Session(engine) as session:
            limits.consume(session, "ada", "api_calls", 50)
            session.commit()
            limits.consume(session, "ada", "api_calls", 30)
            session.rollback()
        engine.dispose()

    await asyncio.to_thread(use)
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]


async def test_a_use_that_reaches_nothing_writes_one_statement(client: Client) -> None:
    await consume(client, "ada", "api_calls", 50)
    with executed(service_of(client).database.engine) as seen:
        await consume(client, "ada", "api_calls", 1)
    assert len([each for _, each in seen if each.startswith(("INSERT", "UPDATE", "DELETE"))]) == 1


async def test_writers_at_once_announce_each_threshold_once(
    client: Client, listener: Listener, numbers: Iterator[int]
) -> None:
    """Some roll back, some with a key, some from a session of their own."""

    async def use() -> None:
        number = next(numbers)
        try:
            async with service_of(client).database.session() as session:
                key = f"key-{number}" if number % 3 else None
                await limits.consume(session, "ada", "api_calls", 2, key=key)
                if number % 4 == 0:
                    raise ConnectionError("of the application")
        except (ConnectionError, limits.LimitExceeded):
            pass

    await asyncio.gather(*(use() for _ in range(80)))
    found = await announced(client, listener)
    assert [each[:2] for each in found] == [
        ("limit_reached", 1.0),
        ("usage_threshold_reached", 0.5),
        ("usage_threshold_reached", 0.8),
    ]


async def test_who_is_killed_between_taking_an_entry_and_its_end_announces_it_once(
    client: Client, listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await consume(client, "ada", "api_calls", 50)
    with monkeypatch.context() as killed:

        def die(outbox: Outbox, made: Any) -> Any:
            raise asyncio.CancelledError

        killed.setattr(Outbox, "entries", die)
        with pytest.raises(asyncio.CancelledError):
            await service_of(client).outbox.deliver_due(FAN_OUT)
    assert await announced(client, listener) == []
    clock.now += LEASE_MARGIN_SECONDS
    assert await announced(client, listener) == [("usage_threshold_reached", 0.5, 50)]


async def test_an_entry_reaches_each_receiver_and_plain_ones_are_called(
    client: Client, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    await consume(client, "ada", "api_calls", 50)
    await announced(client, listener)
    async with service_of(client).database.reading() as session:
        mine = col(OutboxEntry.signal) == "usage_threshold_reached"
        found = {each.receiver: each.state for each in await session.exec(select(OutboxEntry).where(mine))}
    assert found == {FAN_OUT: "done", listener.name: "done"}


@pytest.mark.parametrize(
    ("limit", "shares", "ats"),
    [(100, (0.07,), [7, 100]), (3, (0.5,), [2, 3]), (1, (0.1,), [1, 1]), (10, (1.0,), [10, 10])],
)
def test_a_share_of_a_limit_is_reached_at_the_next_whole_number(
    limit: int, shares: tuple[float, ...], ats: list[int]
) -> None:
    assert [each.at for each in thresholds_of(limit, shares, soft=False)] == ats


def test_what_is_unlimited_or_denied_has_no_thresholds() -> None:
    assert thresholds_of(None, (0.8,), soft=True) == thresholds_of(0, (0.8,), soft=True) == ()


async def test_an_entry_that_cannot_be_read_keeps_no_other_back(client: Client, listener: Listener) -> None:
    """As a later release may write one, beside which this one runs."""
    for user_id in ("ada", "bob"):
        await consume(client, user_id, "api_calls", 50)
    async with service_of(client).database.session() as session:
        of_ada = col(OutboxEntry.reaction)["user_id"].as_string() == "ada"
        for entry in await session.exec(select(OutboxEntry).where(of_ada)):
            entry.reaction = entry.reaction | {"of_a_later_release": True}
    found = await reactions_of(client, listener)
    assert {each.user_id for each in found} == {"bob"}
