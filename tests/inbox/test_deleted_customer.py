"""What a deleted customer ends, and what contradicts it: the same in every order, on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from app.db.models import Customer, Subscription
from app.inbox.delivery import Delivery, receive
from app.service import Service

from ..client import Client, running
from .stories import DAY, Story, T, in_every_order, in_some_orders

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: T + 5 * DAY) as client:
        yield client


async def state_of(client: Client, story: Story) -> tuple[str, bool]:
    """The access of the subscription, and whether it is to be read again."""
    stored = await client.read(f"/internal/subscriptions/{story.id('subA')}")
    return stored["access"], stored["needs_refresh"]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (-DAY, ("none", False)),
        (0, ("none", False)),
        (1, ("none", True)),
        (60, ("none", True)),
        (61, ("full", False)),
        (DAY, ("full", False)),
    ],
)
@pytest.mark.rest_in_long(2)
@in_some_orders
async def test_a_deletion_ends_what_was_there_and_a_much_newer_live_snapshot_contradicts_it(
    client: Client, later: int, expected: tuple[str, bool], most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(f"{later}{tag}")
        story.customer(metadata={"user_id": story.id("ada")})
        story.customer(2 * DAY, "customer.deleted", metadata={"user_id": story.id("ada")})
        story.subscription("A", 2 * DAY + later)
        return story

    async def check(story: Story) -> None:
        assert await state_of(client, story) == expected
        customer = await client.read(f"/internal/customers/{story.customer_id}")
        assert (customer["deleted"], customer["user_id"]) == (True, story.id("ada"))

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_a_customer_lives_again_by_a_much_newer_snapshot_and_what_it_had_stays_ended(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.subscription("A")
        story.customer(DAY, "customer.deleted")
        story.customer(DAY + 60)
        story.customer(DAY + 61, email="new@example.com")
        return story

    async def check(story: Story) -> None:
        stored = await client.read(f"/internal/customers/{story.customer_id}")
        assert (stored["deleted"], stored["email"]) == (False, "new@example.com")
        assert await state_of(client, story) == ("none", True)

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_a_snapshot_within_a_minute_of_the_deletion_makes_no_customer_live_again(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(DAY, "customer.deleted", email=None)
        story.customer(DAY + 60, email="new@example.com")
        story.customer(DAY + 1, email="known@example.com")
        return story

    async def check(story: Story) -> None:
        stored = await client.read(f"/internal/customers/{story.customer_id}")
        assert (stored["deleted"], stored["email"]) == (True, "new@example.com")

    await in_every_order(client, build, check, most=most)


@pytest.mark.parametrize("how", ["whole", "without the address", "bare"])
@in_some_orders
async def test_the_known_address_and_user_stay_however_the_deletion_comes(
    client: Client, how: str, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(f"{how[0:4]}{tag}")
        named = {"user_id": story.id("ada")}
        story.customer(email="first@example.com", metadata={})
        story.customer(1, email="known@example.com", metadata=named)
        last: dict[str, dict[str, Any]] = {
            "whole": {"email": "known@example.com"},
            "without the address": {"email": None},
        }
        story.customer(DAY, "customer.deleted", metadata=named, **last.get(how, {}))
        if how == "bare":
            content = story.events[-1]["data"]["object"]
            story.events[-1]["data"]["object"] = {name: content[name] for name in ("id", "object")} | {
                "deleted": True
            }
        return story

    async def check(story: Story) -> None:
        stored = await client.read(f"/internal/customers/{story.customer_id}")
        told = (stored["deleted"], stored["email"], stored["user_id"])
        assert told == (True, "known@example.com", story.id("ada")), orjson.dumps(stored)

    await in_every_order(client, build, check, most=most)


def fetched(content: dict[str, Any], at: int, version: int) -> Delivery:
    """What Stripe's API answers, as it comes to the inbox."""
    kind = "customer" if content["object"] == "customer" else "customer.subscription"
    envelope = {
        "id": f"reread_{content['id']}_{at}",
        "object": "event",
        "type": f"{kind}.updated",
        "created": T + at,
        "livemode": False,
        "data": {"object": content},
    }
    delivery = receive(orjson.dumps(envelope), signature=None, received_at=T, source="re-read")
    delivery.read_at_version = version
    return delivery


@pytest.mark.parametrize("deletion_first", [True, False])
async def test_a_customer_that_is_fetched_alive_after_its_deletion_lives(
    client: Client, deletion_first: bool
) -> None:
    service: Service = client.app.state.billing
    story = Story("alive")
    story.subscription("A")
    story.customer()
    story.customer(DAY, "customer.deleted")
    subscription, customer, deleted = story.events
    for event in (subscription, customer, *([deleted] if deletion_first else [])):
        await client.send(event)
    if deletion_first:
        assert await state_of(client, story) == ("none", False)
    for event, model in ((customer, Customer), (subscription, Subscription)):
        content = event["data"]["object"]
        async with service.database.reading() as session:
            row = await session.get(model, content["id"])
        assert isinstance(row, Customer | Subscription)
        await service.inbox.accept(fetched(content, DAY + 10, row.version))
    if not deletion_first:
        await client.send(deleted)
    stored = await client.read(f"/internal/customers/{story.customer_id}")
    assert stored["deleted"] is False
    assert await state_of(client, story) == ("full", False)
