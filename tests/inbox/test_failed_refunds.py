"""A refund that fails later restores what it had clawed back, whichever events come, in any order."""

import random
from collections.abc import AsyncIterator, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from app import limits
from app.db.models import AuditEntry
from app.entitlements.refunds import refunded
from app.signals import Reaction, refund_failed

from ..client import Client, running
from ..limits.helpers import Clock
from .purchases import (
    COMPLETED,
    FAILED,
    MADE,
    PLANS,
    REFUNDED,
    START,
    UPDATED,
    charge,
    event,
    refund,
    session,
)

pytestmark = pytest.mark.postgresql_in_long

Events = list[dict[str, Any]]


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = START + 100
    return clock


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


@pytest.fixture
def told() -> Iterator[list[Reaction]]:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    refund_failed.connect(hear)
    yield heard
    refund_failed.disconnect(hear)


async def send(client: Client, *events: dict[str, Any]) -> None:
    for each in events:
        assert await client.send(each) in ("processed", "duplicate")


async def left() -> int:
    return sum(each.left for each in (await limits.load("ada")).grants if each.feature == "api_calls")


async def audited(client: Client) -> list[tuple[str, Any]]:
    query = select(AuditEntry).where(col(AuditEntry.action).startswith("grant."))
    async with client.app.state.billing.database.reading() as session:
        rows = list(await session.exec(query.order_by(col(AuditEntry.id))))
    return [(row.action, row.after or {}) for row in rows]


def failed_and_made_again(*, counts_failed: bool) -> Events:
    """400 of 1000 are refunded, which fails; then 300 are, by another refund."""
    return [
        event(1, COMPLETED, session()),
        event(2, MADE, refund("re_1", 400)),
        event(3, REFUNDED, charge(400)),
        event(4, UPDATED, refund("re_1", 400, "failed")),
        event(5, FAILED, refund("re_1", 400, "failed")),
        event(6, MADE, refund("re_2", 300, at=START + 6)),
        event(7, REFUNDED, charge(700 if counts_failed else 300)),
    ]


@pytest.mark.parametrize("counts_failed", [True, False], ids=["the charge counts it", "no longer"])
async def test_a_failed_refund_restores_its_share_in_any_order(client: Client, counts_failed: bool) -> None:
    events = failed_and_made_again(counts_failed=counts_failed)
    for number, seed in enumerate(range(8)):
        shuffled = random.Random(seed).sample(events, len(events))
        await send(client, *(of_buyer(each, number) for each in (*shuffled, shuffled[0])))
        found = (await limits.load(f"user_{number}")).grants
        assert {each.feature: each.amount for each in found} == {"api_calls": 70, "projects": 2}


def of_buyer(each: dict[str, Any], number: int) -> dict[str, Any]:
    content = dict(each["data"]["object"])
    for key in ("id", "payment_intent", "charge"):
        if key in content:
            content[key] = f"{content[key]}{number}"
    if "metadata" in content:
        content |= {"customer": None, "metadata": content["metadata"] | {"user_id": f"user_{number}"}}
    return each | {"id": f"{each['id']}x{number}", "data": {"object": content}}


def test_every_set_of_events_says_no_more_than_it_knows() -> None:
    """Without the events of refunds what the charge counts holds, and each that is known corrects it."""
    made = {"amount": 400, "at": START, "failed_at": None}
    lost = made | {"failed_at": START + 5}
    again = {"amount": 300, "at": START + 6, "failed_at": None}
    for counted in (700, 400):
        stated = {"ch_1": [1000, counted, START + 3]}
        assert refunded(stated).back == counted
        assert refunded(stated | {"re_1": made}).back == counted
        assert refunded(stated | {"re_1": lost}).back == counted - 400
        assert refunded(stated | {"re_1": lost, "re_2": again}).back == 300
    assert refunded({"re_1": made, "re_2": again}) == (0, 700, (START, START + 6))
    assert refunded({"re_1": lost}) == (0, 0, ())


async def test_a_lifetime_plan_returns_when_its_refund_fails(client: Client, told: list[Reaction]) -> None:
    await send(client, event(1, COMPLETED, session(offer="plans.lifetime")))
    await send(client, event(2, MADE, refund("re_1", 1000)), event(3, REFUNDED, charge(1000)))
    assert (await limits.load("ada")).plan == "free"
    await send(client, event(4, FAILED, refund("re_1", 1000, "failed")))
    assert (await limits.load("ada")).plan == "lifetime"
    assert [action for action, _ in await audited(client)] == ["grant.clawed_back", "grant.restored"]
    [reaction] = told
    assert (reaction.user_id, reaction.facts["amount"], reaction.facts["reason"]) == (
        "ada",
        1000,
        "lost_or_stolen_card",
    )


async def test_a_failed_refund_is_announced_and_recorded_once(client: Client, told: list[Reaction]) -> None:
    guest = session(customer=None)
    await send(client, event(1, COMPLETED, guest), event(2, REFUNDED, charge(500, customer=None)))
    assert await left() == 50
    for number, type in enumerate((UPDATED, "refund.updated", FAILED)):
        await send(client, event(3 + number, type, refund("re_1", 500, "failed")))
    assert await left() == 100
    assert [(each.user_id, each.customer_id) for each in told] == [("ada", None)]
    [(_, taken), (action, restored)] = await audited(client)
    assert (action, taken["clawed_back"], restored["restored"]) == (
        "grant.restored",
        {"api_calls": 50, "projects": 1},
        {"api_calls": 50, "projects": 1},
    )


@pytest.mark.parametrize(
    "content",
    [
        {"id": None},
        {"amount": "400"},
        {"amount": -1},
        {"payment_intent": None},
        {"id": "ch_1"},
        {"created": "soon"},
        {"status": ["failed"]},
    ],
    ids=str,
)
async def test_a_strange_refund_fails_no_event(client: Client, content: dict[str, Any]) -> None:
    strange = event(3, MADE, refund("re_1", 400) | content)
    await send(client, event(1, COMPLETED, session()), event(2, REFUNDED, charge(400)), strange)
    assert (await left()) in (60, 100)


def test_the_pairs_of_refunds_add_up() -> None:
    amounts = {"re_1": 100, "re_2": 200, "re_3": 300}
    for failed in [some for size in range(4) for some in combinations(amounts, size)]:
        known = {
            id: {"amount": amount, "at": START, "failed_at": START + 1 if id in failed else None}
            for id, amount in amounts.items()
        }
        assert refunded(known).back == sum(amount for id, amount in amounts.items() if id not in failed)
