"""A refund that fails later restores what it had clawed back, whichever events come, in any order."""

import random
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from app import limits
from app.db.models import AuditEntry
from app.entitlements.refunds import Stated, refunded
from app.signals import Reaction, payment_refunded, refund_failed

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
    heard_of,
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
    with heard_of(refund_failed) as heard:
        yield heard


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


def failed_and_made_again() -> Events:
    """400 of 1000 are refunded, which fails and lowers the charge's total; then 300 are, by another."""
    return [
        event(1, COMPLETED, session()),
        event(2, MADE, refund("re_1", 400)),
        event(3, REFUNDED, charge(400)),
        event(4, UPDATED, refund("re_1", 400, "failed")),
        event(5, FAILED, refund("re_1", 400, "failed")),
        event(6, MADE, refund("re_2", 300, at=START + 6)),
        event(7, REFUNDED, charge(300)),
    ]


async def test_a_failed_refund_restores_its_share_in_any_order(client: Client) -> None:
    events = failed_and_made_again()
    for number, seed in enumerate(range(8)):
        shuffled = random.Random(seed).sample(events, len(events))
        await send(client, *(of_buyer(each, number) for each in (*shuffled, shuffled[0])))
        found = (await limits.load(f"user_{number}")).grants
        assert {each.feature: each.amount for each in found} == {"api_calls": 70, "projects": 2}


async def test_a_failed_refund_hides_no_later_one_of_which_only_the_charge_is_known(client: Client) -> None:
    """An endpoint may have `charge.refunded` and `charge.refund.updated` alone."""
    lost = refund("re_1", 1000, "failed")
    events = [
        event(1, COMPLETED, session()),
        event(2, REFUNDED, charge(1000)),
        event(5, UPDATED, lost),
        event(7, REFUNDED, charge(1000)),
    ]
    for number, order in enumerate(permutations(events)):
        await send(client, *(of_buyer(each, number) for each in order))
        assert [each.amount for each in (await limits.load(f"user_{number}")).grants] == [0, 0], order


async def test_a_lifetime_plan_ends_when_the_refund_after_the_failed_one_is_made(client: Client) -> None:
    await send(client, event(1, COMPLETED, session(offer="plans.lifetime")), event(2, REFUNDED, charge(1000)))
    await send(client, event(5, UPDATED, refund("re_1", 1000, "failed")))
    assert (await limits.load("ada")).plan == "lifetime"
    await send(client, event(7, REFUNDED, charge(1000)))
    assert (await limits.load("ada")).plan == "free"
    _, _, (_, ended) = await audited(client)
    assert ended["plans_ended"] == ["lifetime"]


async def test_a_refund_from_before_the_events_of_refunds_is_counted_beside_later_ones(
    client: Client,
) -> None:
    await send(client, event(1, COMPLETED, session()), event(2, REFUNDED, charge(400)))
    await send(client, event(3, MADE, refund("re_1", 600, at=START + 3)), event(4, REFUNDED, charge(1000)))
    await send(client, event(5, FAILED, refund("re_1", 600, "failed", at=START + 3)))
    assert await left() == 60
    await send(client, event(6, MADE, refund("re_2", 600, at=START + 6)), event(7, REFUNDED, charge(1000)))
    assert await left() == 0


async def test_a_refund_that_fails_in_the_second_of_its_charge_takes_nothing(client: Client) -> None:
    failed = event(3, FAILED, refund("re_1", 400, "failed")) | {"created": START + 2}
    await send(client, event(1, COMPLETED, session()), event(2, REFUNDED, charge(400)), failed)
    assert await left() == 100


async def test_a_failure_that_is_read_late_happened_when_its_thin_event_says(client: Client) -> None:
    await send(client, event(1, COMPLETED, session()), event(2, REFUNDED, charge(1000)))
    await send(client, event(7, REFUNDED, charge(1000)))
    failed = event(90, FAILED, refund("re_1", 1000, "failed"))
    await send(client, failed | {"read_for": {"created": START + 5, "id": "evt_50"}})
    assert await left() == 0


async def test_a_second_refund_that_reaches_the_same_total_is_announced(client: Client) -> None:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    def again(number: int, first: dict[str, Any]) -> dict[str, Any]:
        return first | {"id": f"evt_{number}", "created": first["created"] + 1}

    payment_refunded.connect(hear)
    try:
        first, second = event(2, REFUNDED, charge(400)), event(7, REFUNDED, charge(400))
        await send(client, first, again(12, first), event(5, UPDATED, refund("re_1", 400, "failed")))
        await send(client, second, again(17, second), first, again(13, first))
    finally:
        payment_refunded.disconnect(hear)
    assert [(each.id, each.event_id) for each in heard] == [
        ("payment_refunded:ch_1:400", "evt_2"),
        ("payment_refunded:ch_1:400:re_1", "evt_7"),
    ]


async def test_a_refund_is_announced_once_when_an_earlier_one_turns_out_to_have_failed(
    client: Client,
) -> None:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    second = event(7, REFUNDED, charge(300))
    # What was read for a thin event about the same change, which names the event.
    thin = {"read_for": {"created": START + 7, "id": "evt_70"}, "snapshot_event": "evt_7"}
    payment_refunded.connect(hear)
    try:
        await send(client, second, event(5, UPDATED, refund("re_1", 400, "failed")))
        await send(client, second | {"id": "evt_71"} | thin)
    finally:
        payment_refunded.disconnect(hear)
    assert [each.id for each in heard] == ["payment_refunded:ch_1:300"]


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


def test_the_statements_of_a_charge_merge_in_any_order_also_with_one_as_an_older_release_stored_it() -> None:
    stated = [
        Stated(1000, amount, at, at, amount) for amount, at in ((400, 2), (1000, 3), (1000, 5), (300, 7))
    ]
    stated += [Stated.of([1000, 1000, 4]), Stated(1000, 200, 7, 7, 200)]
    assert {reduce(Stated.merged, order) for order in permutations(stated)} == {(1000, 1000, 3, 7, 300)}


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
