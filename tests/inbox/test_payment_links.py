"""What a payment link sold that does not say so is found by its price, or it is said that nobody knows."""

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from app import limits
from app.operations.checks import check_service

from ..client import Client, running
from ..limits.helpers import Clock
from .purchases import COMPLETED, PLANS, REFUNDED, START, charge, event, lines, linked, session

pytestmark = pytest.mark.postgresql_in_long

KEYED = PLANS.replace('prices = ["price_top_up"]', 'prices = ["price_top_up"]\nlookup_keys = ["top_up"]')


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(KEYED)
    clock = Clock()
    clock.now = START + 100
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


async def send(client: Client, *events: dict[str, Any]) -> None:
    for each in events:
        assert await client.send(each) in ("processed", "duplicate")


async def granted(user: str = "ada") -> dict[str, int]:
    return {each.feature or each.plan or "": each.amount for each in (await limits.load(user)).grants}


async def unknown(client: Client) -> list[str]:
    found = (await check_service(client.app.state.billing))["purchases"]
    return [id for each in found for id in each.ids]


@pytest.mark.parametrize(
    ("sold", "gives"),
    [
        (lines(("price_top_up", None, 3)), {"api_calls": 300, "projects": 6}),
        (lines(("price_new", "top_up", 1)), {"api_calls": 100, "projects": 2}),
        (lines(("price_shirt", None, 1), ("price_top_up", None, 1)), {"api_calls": 100, "projects": 2}),
        (lines(("price_lifetime", None, 1)), {"lifetime": 0}),
        (lines(("price_shirt", None, 1)), {}),
        (lines(("price_top_up", None, 1), ("price_gift", None, 1)), {}),
        ({"data": [None, {"price": 7}, {"price": {"id": ["x"]}, "quantity": "9"}]}, {}),
    ],
)
@pytest.mark.rest_in_long(4)
async def test_the_price_of_a_session_says_what_was_bought(
    client: Client, sold: dict[str, Any], gives: dict[str, int]
) -> None:
    silent, shown = event(1, COMPLETED, linked()), event(2, COMPLETED, linked(line_items=sold))
    await send(client, silent)
    assert (await granted(), await unknown(client)) == ({}, ["cs_test_1"])
    await send(client, shown, silent | {"id": "evt_again", "created": START + 50})
    assert (await granted(), await unknown(client)) == (gives, [])


async def test_the_order_of_the_events_makes_no_difference(client: Client) -> None:
    shown = event(1, COMPLETED, linked(line_items=lines(("price_top_up", None, 2))))
    await send(client, event(3, REFUNDED, charge(500, customer=None)), shown, event(2, COMPLETED, linked()))
    assert await granted() == {"api_calls": 100, "projects": 2}
    assert await unknown(client) == []


async def test_the_earliest_event_that_says_what_was_sold_counts_in_every_order(client: Client) -> None:
    for number, order in enumerate(permutations(range(3))):
        of = {
            "id": f"cs_test_{number}0",
            "payment_intent": f"pi_{number}",
            "client_reference_id": f"u{number}",
        }
        said = (
            linked(**of),
            linked(**of, metadata={"grant": "credits.top_up", "grant_quantity": "2"}),
            linked(**of, metadata={"grant": "credits.gift"}),
        )
        events = [event(10 * number + place, COMPLETED, content) for place, content in enumerate(said)]
        await send(client, *(events[place] for place in order))
        assert await granted(f"u{number}") == {"api_calls": 200, "projects": 4}, order


@pytest.mark.parametrize(
    "content",
    [
        linked(payment_status="unpaid"),
        linked(payment_link=None),
        linked(metadata={"grant": "none"}),
        linked(mode="subscription"),
        session(),
    ],
    ids=["not paid", "no payment link", "says that it sells nothing", "a subscription", "names its offer"],
)
async def test_what_needs_nobody_is_not_reported(client: Client, content: dict[str, Any]) -> None:
    await send(client, event(1, COMPLETED, content))
    assert await unknown(client) == []


async def test_where_nothing_is_sold_once_a_payment_link_is_no_fault(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS.partition("[plans.lifetime]")[0])
    async with running(database_url, clock=Clock(), plans_file=file) as client:
        await send(client, event(1, COMPLETED, linked()))
        assert await unknown(client) == []
