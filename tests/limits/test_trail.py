"""What is kept of usage: its trail, and the periods that are over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from app import limits
from app.db.models import AuditEntry
from app.errors import InvalidRequest
from app.simulator import DAY

from ..client import AUTH, Client, running
from .helpers import START, Clock, consume, release

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
mails = { kind = "consumable", reset = "day" }
[plans.free]
projects = 10
api_calls = { limit = 100, soft = true }
mails = 5
"""
FEBRUARY, MARCH = START + 31 * DAY, START + 59 * DAY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


async def change(client: Client, feature: str, op: str, amount: int = 1, **more: Any) -> httpx.Response:
    body = {"op": op, "amount": amount} | more
    return await client.http.post(f"/internal/users/ada/usage/{feature}", json=body, headers=AUTH)


async def trail(client: Client) -> list[tuple[int, int]]:
    """What was used before and after, in the order of the changes."""
    async with client.app.state.billing.database.reading() as session:
        query = select(AuditEntry).where(col(AuditEntry.subject) == "ada").order_by(col(AuditEntry.id))
        entries = list(await session.exec(query))
    return [((entry.before or {})["used"], (entry.after or {})["used"]) for entry in entries]


@pytest.mark.parametrize("op", ["consume", "release"])
async def test_a_request_that_is_sent_again_leaves_no_second_entry(client: Client, op: str) -> None:
    await change(client, "projects", "set", 5)
    for _ in range(3):
        assert (await change(client, "projects", op, 2, key="job-1")).status_code == 200
    after = 7 if op == "consume" else 3
    assert await trail(client) == [(0, 5), (5, after)]


async def test_each_entry_begins_where_the_one_before_ended_also_when_all_come_at_once(
    client: Client,
) -> None:
    await asyncio.gather(*(change(client, "projects", "consume", amount) for amount in (1, 2, 4)))
    entries, used = dict(await trail(client)), 0
    while used in entries:
        used = entries.pop(used)
    assert (entries, used) == ({}, 7), "a chain, from nothing to what is used now"


async def test_the_trail_is_pruned_after_a_time_of_its_own(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    async with running(database_url, clock=clock, audit_retention_days=30) as client:
        worker = client.app.state.billing.worker
        await change(client, "projects", "consume")
        clock.now += 30 * DAY
        await change(client, "projects", "consume")
        assert await worker.pruner.prune_audit() == 0
        clock.now += 1
        await worker.pruner.prune_audit()  # the worker itself may have been faster
        assert await trail(client) == [(1, 2)]


async def test_what_is_released_in_a_month_that_is_over_lowers_that_month(
    client: Client, clock: Clock
) -> None:
    await consume(client, "ada", "api_calls", 100)
    clock.now = FEBRUARY + DAY
    decision = await release(client, "ada", "api_calls", 30, at=START + DAY)
    assert (decision.used, decision.reason) == (0, "ok")
    assert [each.used for each in await limits.history("ada")] == [70], "still in the row of usage"
    await consume(client, "ada", "api_calls", 60)
    refund = await release(client, "ada", "api_calls", 20, at=START)
    assert (refund.used, refund.reason) == (60, "ok")
    assert (await release(client, "ada", "api_calls", 5, at=int(clock.now))).used == 55
    assert [each.used for each in await limits.history("ada")] == [50], "kept"
    answer = await change(client, "api_calls", "release", 60, at=START, key="refund-1")
    assert (answer.status_code, answer.json()["used"], answer.json()["reason"]) == (200, 55, "over_released")
    await change(client, "api_calls", "release", 60, at=START, key="refund-1")
    assert [each.used for each in await limits.history("ada")] == [0]


async def test_what_is_released_in_an_unknown_period_changes_nothing(client: Client, clock: Clock) -> None:
    clock.now = MARCH
    await consume(client, "ada", "api_calls", 8)
    refund = await release(client, "ada", "api_calls", 5, at=START)
    assert (refund.used, refund.reason) == (8, "over_released")


async def test_more_than_was_used_in_a_month_that_is_over_leaves_nothing_of_it(
    client: Client, clock: Clock
) -> None:
    await consume(client, "ada", "api_calls", 10)
    clock.now = FEBRUARY + DAY
    refund = await release(client, "ada", "api_calls", 11, at=START)
    assert (refund.used, refund.reason) == (0, "over_released"), "still in the row of usage"
    assert sum(each.used for each in await limits.history("ada")) == 0


@pytest.mark.parametrize("at", [-1, 2.5, True, START + 1])
async def test_a_moment_that_cannot_have_been_is_refused(client: Client, at: Any) -> None:
    with pytest.raises(InvalidRequest, match="at: "):
        await release(client, "ada", "api_calls", 1, at=at)
    assert (await change(client, "api_calls", "consume", 1, at=START)).status_code == 422


async def test_closed_periods_are_listed_with_what_went_over(client: Client, clock: Clock) -> None:
    await consume(client, "ada", "api_calls", 150)
    for _ in range(3):
        await consume(client, "ada", "mails", 2)
        clock.now += DAY
    clock.now = FEBRUARY
    await consume(client, "ada", "api_calls", 1)
    page = await client.read("/internal/users/ada/usage", feature="api_calls")
    assert page == {
        "data": [
            {
                "feature": "api_calls",
                "period_start": START,
                "period_end": FEBRUARY,
                "used": 150,
                "limit": 100,
                "over": 50,
            }
        ],
        "next_cursor": None,
    }
    everything = await pages(client, 2)
    assert [(each["feature"], each["period_start"]) for each in everything] == [
        ("mails", START + 2 * DAY),
        ("mails", START + DAY),
        ("mails", START),
        ("api_calls", START),
    ]


async def pages(client: Client, size: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await client.read("/internal/users/ada/usage", limit=size, **cursor)
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        cursor = {"cursor": page["next_cursor"]}


async def test_closed_periods_are_pruned_after_their_retention(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file, usage_retention_days=10) as client:
        worker = client.app.state.billing.worker
        for _ in range(3):
            await consume(client, "ada", "mails", 2)
            clock.now += DAY
        await consume(client, "ada", "mails", 1)
        clock.now += 9 * DAY
        await worker.pruner.prune_usage_periods()  # the worker itself may have been faster
        assert [each.period_start for each in await limits.history("ada")] == [
            START + 3 * DAY,
            START + 2 * DAY,
            START + DAY,
        ]
