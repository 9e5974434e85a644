"""What is bought once is granted once, whatever the order of the events, and clawed back by policy."""

import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from app import limits
from app.db.models import AuditEntry

from ..client import AUTH, Client, running
from ..limits.helpers import Clock, consume
from .purchases import (
    CLOSED,
    COMPLETED,
    DISPUTED,
    PLANS,
    REFUNDED,
    START,
    SUCCEEDED,
    charge,
    dispute,
    event,
    session,
)

pytestmark = pytest.mark.postgresql_in_long


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


async def send(client: Client, *events: dict[str, Any]) -> None:
    for each in events:
        assert await client.send(each) in ("processed", "duplicate")


async def granted(user: str = "ada") -> dict[str, tuple[int, int]]:
    """Of each grant of a feature: the amount, and what was clawed back."""
    found = (await limits.load(user)).grants
    return {each.feature: (each.amount, each.clawed_back) for each in found if each.feature}


async def audited(client: Client) -> list[dict[str, Any]]:
    query = select(AuditEntry).where(col(AuditEntry.action) == "grant.clawed_back")
    async with client.app.state.billing.database.reading() as session:
        return [row.after or {} for row in await session.exec(query.order_by(col(AuditEntry.id)))]


async def test_credits_are_granted_once_and_used_after_the_allowance(client: Client) -> None:
    bought = event(1, COMPLETED, session())
    await send(client, bought, bought, event(2, SUCCEEDED, session()))
    assert await granted() == {"api_calls": (100, 0), "projects": (2, 0)}
    assert (await limits.load("ada")).limit("projects") == 5
    assert (await consume(client, "ada", "api_calls", 105)).remaining == 0
    with pytest.raises(limits.LimitExceeded):
        await consume(client, "ada", "api_calls")


async def test_a_delayed_payment_grants_when_it_succeeds(client: Client) -> None:
    await send(client, event(1, COMPLETED, session(paid=False)))
    assert await granted() == {}
    await send(client, event(2, SUCCEEDED, session()))
    assert await granted() == {"api_calls": (100, 0), "projects": (2, 0)}


async def test_the_quantity_multiplies(client: Client) -> None:
    metadata = {"user_id": "ada", "grant": "credits.top_up", "grant_quantity": "3"}
    await send(client, event(1, COMPLETED, session(metadata=metadata)))
    assert await granted() == {"api_calls": (300, 0), "projects": (6, 0)}


async def test_any_number_of_great_packs_can_be_counted(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "plans.toml"
    file.write_text(f'{PLANS}[credits.vast]\nprices = ["price_vast"]\napi_calls = {2**53 - 1}\n')
    metadata = {"user_id": "ada", "grant": "credits.vast", "grant_quantity": "1000000"}
    async with running(database_url, clock=Clock(), plans_file=file) as client:
        for number in range(2):
            bought = session(metadata=metadata, id=f"cs_{number}", payment_intent=f"pi_{number}")
            await send(client, event(number, COMPLETED, bought, START - 10))
        taken = await consume(client, "ada", "api_calls", 2**53)
        assert taken.remaining == 2 * (2**53 - 1) + 5 - 2**53
        shown = await client.read("/internal/users/ada/grants")
        assert {each["amount"] for each in shown["data"]} == {2**53 - 1}


async def test_any_order_of_the_events_ends_in_the_same_grants(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    events = [
        event(1, COMPLETED, session(paid=False)),
        event(2, SUCCEEDED, session()),
        event(3, REFUNDED, charge(250)),
        event(4, REFUNDED, charge(500)),
        event(5, DISPUTED, dispute("needs_response", 250)),
        event(6, CLOSED, dispute("lost", 250)),
    ]
    orders = list(itertools.permutations(range(len(events))))
    clock = Clock()
    clock.now = START + 100
    async with running(database_url, clock=clock, plans_file=file) as client:
        for number, order in enumerate(random.Random(0).sample(orders, 12)):
            copies = [_of_buyer(events[index], number) for index in order]
            await send(client, *copies, copies[0])
            assert await granted(f"user_{number}") == {"api_calls": (25, 75), "projects": (1, 1)}


def _of_buyer(each: dict[str, Any], number: int) -> dict[str, Any]:
    """The same event of another buyer."""
    content = dict(each["data"]["object"])
    for key in ("id", "payment_intent", "charge"):
        if key in content:
            content[key] = f"{content[key]}{number}"
    if "customer" in content:
        content["customer"] = f"cus_{number}"
    if "metadata" in content:
        content["metadata"] = content["metadata"] | {"user_id": f"user_{number}"}
    return each | {"id": f"{each['id']}x{number}", "data": {"object": content}}


async def test_a_refund_takes_its_share_back_and_leaves_what_was_used(client: Client) -> None:
    await send(client, event(1, COMPLETED, session()))
    await consume(client, "ada", "api_calls", 65)
    await send(client, event(2, REFUNDED, charge(300)))
    assert await granted() == {"api_calls": (70, 30), "projects": (2, 0)}
    assert (await consume(client, "ada", "api_calls", 10)).remaining == 0
    await send(client, event(3, REFUNDED, charge(1000)))
    assert await granted() == {"api_calls": (0, 100), "projects": (0, 2)}
    entitlements = await limits.load("ada")
    assert entitlements.look("api_calls").remaining == 0
    first, second = await audited(client)
    assert (first["clawed_back"], first["drawn"], first["used_all_the_same"]["api_calls"]) == (
        {"api_calls": 30, "projects": 0},
        {"api_calls": 60, "projects": 0},
        0,
    )
    assert (second["clawed_back"]["api_calls"], second["used_all_the_same"]["api_calls"]) == (70, 70)


@pytest.mark.parametrize("names", ["ab", "ba"])
async def test_of_two_events_of_one_second_the_end_of_a_dispute_counts(client: Client, names: str) -> None:
    opened = event(2, DISPUTED, dispute("needs_response")) | {"id": f"evt_{names[0]}"}
    closed = event(2, CLOSED, dispute("lost")) | {"id": f"evt_{names[1]}"}
    for number, order in enumerate(([opened, closed], [closed, opened])):
        await send(client, *(_of_buyer(each, number) for each in (event(1, COMPLETED, session()), *order)))
        assert (await granted(f"user_{number}"))["api_calls"] == (0, 100), order


async def test_only_a_lost_dispute_takes_back(client: Client) -> None:
    await send(client, event(1, COMPLETED, session()), event(2, DISPUTED, dispute("needs_response")))
    assert (await granted())["api_calls"] == (100, 0)
    await send(client, event(3, CLOSED, dispute("lost")))
    assert (await granted())["api_calls"] == (0, 100)
    await send(client, event(4, CLOSED, dispute("won")))
    assert (await granted())["api_calls"] == (100, 0)


async def test_by_policy_nothing_is_taken_back(client: Client, clock: Clock) -> None:
    await send(client, event(1, COMPLETED, session(offer="credits.gift")))
    await send(client, event(2, REFUNDED, charge(1000)), event(3, CLOSED, dispute("lost")))
    assert await granted() == {"api_calls": (100, 0)}
    clock.now = START + 1 + 30 * 86_400
    assert (await limits.load("ada")).look("api_calls").remaining == 5


async def test_a_lifetime_plan_lasts_until_all_is_refunded(client: Client, clock: Clock) -> None:
    await send(client, event(1, COMPLETED, session(offer="plans.lifetime")))
    entitlements = await limits.load("ada")
    assert (entitlements.plan, entitlements.limit("projects")) == ("lifetime", 50)
    await send(client, event(2, REFUNDED, charge(999)))
    assert (await limits.load("ada")).plan == "lifetime"
    await send(client, event(3, REFUNDED, charge(1000)))
    assert (await limits.load("ada")).plan == "free"
    assert [each["plans_ended"] for each in await audited(client)] == [["lifetime"]]


async def test_a_purchase_follows_the_user_of_its_customer_where_it_names_none(client: Client) -> None:
    metadata = {"grant": "credits.top_up"}
    await send(client, event(1, COMPLETED, session(metadata=metadata, client_reference_id="bob")))
    assert (await granted("bob"))["api_calls"] == (100, 0)
    linked = await client.http.put("/internal/customers/cus_ada", json={"user_id": "eve"}, headers=AUTH)
    assert linked.status_code == 200
    assert (await granted("bob"), (await granted("eve"))["api_calls"]) == ({}, (100, 0))


async def test_a_guest_buys_without_a_customer_and_without_a_payment(client: Client) -> None:
    free = session(
        customer=None,
        payment_intent=None,
        payment_status="no_payment_required",
        metadata={"grant": "credits.top_up"},
        client_reference_id="guest",
    )
    await send(client, event(1, COMPLETED, free))
    assert (await granted("guest"))["api_calls"] == (100, 0)


@pytest.mark.parametrize("offer", ["", "credits", "other.top_up", "credits.a b", None, 7])
async def test_a_session_that_names_no_offer_grants_nothing(client: Client, offer: Any) -> None:
    await send(client, event(1, COMPLETED, session(metadata={"user_id": "ada", "grant": offer})))
    assert await granted() == {}


async def test_what_the_catalogue_does_not_have_waits_for_it(client: Client) -> None:
    for offer in ("credits.gone", "plans.team"):
        sold = event(len(offer), COMPLETED, session(offer=offer))
        assert await client.send(sold) == "deferred"
    assert await granted() == {}
