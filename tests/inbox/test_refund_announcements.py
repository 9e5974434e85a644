"""Each refund is announced once, in every order of the events, also where a failure is learned late."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from app.inbox import unit_of_work
from app.signals import Reaction, payment_refunded

from ..client import Client, running
from ..limits.helpers import Clock
from .purchases import FAILED, PLANS, REFUNDED, START, UPDATED, charge, event, heard_of, refund

pytestmark = pytest.mark.postgresql_in_long

Events = list[dict[str, Any]]
TWO = [
    event(2, REFUNDED, charge(400)),
    event(5, UPDATED, refund("re_1", 400, "failed")),
    event(7, REFUNDED, charge(400)),
]
"""400 are refunded, which fails; then 400 are refunded again."""
THREE = [
    *TWO,
    event(9, FAILED, refund("re_2", 400, "failed")),
    event(11, REFUNDED, charge(400)),
    event(13, REFUNDED, charge(500)),
]
"""And again, and 100 more."""


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    file, clock = tmp_path / "plans.toml", Clock()
    file.write_text(PLANS)
    clock.now = START + 100
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


@pytest.fixture
def told() -> Iterator[list[Reaction]]:
    with heard_of(payment_refunded) as heard:
        yield heard


def of_charge(each: dict[str, Any], number: int) -> dict[str, Any]:
    """The same event of another charge."""
    content = dict(each["data"]["object"])
    for key in ("id", "payment_intent", "charge"):
        if key in content:
            content[key] = f"{content[key]}x{number}"
    return each | {"id": f"{each['id']}x{number}", "data": {"object": content}}


def twin(each: dict[str, Any]) -> dict[str, Any]:
    """A second event object about the same change."""
    return each | {"id": f"{each['id']}0"}


def announced(told: list[Reaction], number: int) -> dict[str, str]:
    """The ids of the reactions of a charge, and which change each is about."""
    ids = {each.id: each.event_id or "" for each in told if each.facts["charge_id"] == f"ch_1x{number}"}
    told_by = {
        id: event.removeprefix("evt_").partition("x")[0].removesuffix("0") for id, event in ids.items()
    }
    return {id.replace(f"x{number}", ""): event for id, event in told_by.items()}


async def send(client: Client, events: Events) -> None:
    for each in events:
        assert await client.send(each) == "processed"


async def test_a_refund_is_announced_whenever_the_failure_before_it_becomes_known(
    client: Client, told: list[Reaction]
) -> None:
    first, failed, second = (of_charge(each, 1) for each in TWO)
    await send(client, [first, second])
    assert announced(told, 1) == {"payment_refunded:ch_1:400": "2"}
    await send(client, [failed, twin(failed)])
    assert announced(told, 1) == {"payment_refunded:ch_1:400": "2", "payment_refunded:ch_1:400:re_1": "7"}


async def test_two_refunds_of_one_total_make_two_reactions_in_every_order(
    client: Client, told: list[Reaction]
) -> None:
    events = [*TWO, twin(TWO[0]), twin(TWO[2])]
    for number, order in enumerate(permutations(events)):
        await send(client, [of_charge(each, number) for each in order])
        found = announced(told, number)
        assert found.keys() == {"payment_refunded:ch_1:400", "payment_refunded:ch_1:400:re_1"}, order
        assert sorted(found.values()) == ["2", "7"], order
    assert len(told) == 2 * (number + 1)


async def test_three_refunds_and_two_failures_make_a_reaction_for_each_refund(
    client: Client, told: list[Reaction]
) -> None:
    for number in range(60):
        order = [of_charge(each, number) for each in random.Random(number).sample(THREE, len(THREE))]
        if number % 2:
            await asyncio.gather(*(client.send(each) for each in order))  # in few batches
        else:
            await send(client, order)
        assert sorted(announced(told, number).values()) == ["11", "13", "2", "7"], order
    assert len({each.id for each in told}) == len(told) == 4 * 60


async def test_a_refund_from_before_anybody_listened_is_not_announced_by_a_failure(
    client: Client, told: list[Reaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, failed, second = (of_charge(each, 1) for each in TWO)
    with monkeypatch.context() as nobody:
        nobody.setattr(unit_of_work, "is_heard", lambda signal: False)
        await send(client, [first, second])
    await send(client, [failed])
    assert told == []
