"""Links and updates of the internal API decide whose a customer and a subscription are."""

from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text

from app.service import Service
from app.signals import users_changed

from ...client import AUTH, Client
from ..stories import DAY, Story, T, in_every_order, in_some_orders, users_of
from .helpers import named, plan_of

pytestmark = pytest.mark.postgresql_in_long


async def link(client: Client, story: Story, user: str | None) -> Any:
    path = f"/internal/customers/{story.customer_id}"
    user_id = story.id(user) if user is not None else None
    response = await client.http.put(path, json={"user_id": user_id}, headers=AUTH)
    assert response.status_code == 200, response.text
    return response.json()


@in_some_orders
async def test_an_internal_link_takes_those_along_that_named_the_former_user_or_nobody(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "ada"))
        story.subscription("A", metadata=named(story, "ada"))
        story.subscription("B", metadata=named(story, "org"))
        story.subscription("C")
        return story

    async def check(story: Story) -> None:
        answer = await link(client, story, "eve")
        assert answer["stays"] == [{"subscription_id": story.id("subB"), "user_id": story.id("org")}]
        assert await users_of(client, story, "ABC") == {"A": "eve", "B": "org", "C": "eve"}
        # The same statements again, in newer snapshots, move nothing back.
        story.customer(DAY, metadata=named(story, "ada"))
        story.subscription("A", DAY, metadata=named(story, "ada"))
        for event in story.events[-2:]:
            await client.send(event)
        assert await users_of(client, story, "ABC") == {"A": "eve", "B": "org", "C": "eve"}

    await in_every_order(client, build, check, most=most)


@pytest.mark.parametrize("known", range(1, 4))
async def test_a_link_means_the_same_whatever_was_known_when_it_was_made(client: Client, known: int) -> None:
    """The link is made after `known` of the events have come; they are all older than it."""

    def build(tag: str) -> Story:
        story = Story(f"{known}of{tag}")
        story.customer(metadata=named(story, "ada"))
        story.subscription("A", metadata=named(story, "ada"))
        story.subscription("B", metadata=named(story, "org"))
        return story

    for number in range(6):
        story = build(str(number))
        order = story.events[number % 3 :] + story.events[: number % 3]
        order = order if number < 3 else order[::-1]
        for event in order[:known]:
            await client.send(event)
        await link(client, story, "eve")
        for event in order[known:]:
            await client.send(event)
        assert await users_of(client, story, "AB") == {"A": "eve", "B": "org"}, number


@pytest.mark.parametrize("number", range(6))
async def test_a_session_that_comes_after_a_link_says_whom_the_customer_was_taken_from(
    client: Client, number: int
) -> None:
    """Its reference had linked the customer to whom its metadata name: the link takes both along."""
    story = Story(str(number))
    story.customer()
    story.subscription("A")
    story.subscription("B", metadata=named(story, "ada"))
    story.session("A", 1, metadata=named(story, "ada"), client_reference_id=story.id("ada"))
    first, *later = story.events
    await client.send(first)
    await link(client, story, "eve" if number % 2 else None)
    for event in list(permutations(later))[number]:
        await client.send(event)
    follows = "eve" if number % 2 else None
    assert await users_of(client, story, "AB") == {"A": follows, "B": follows}


async def test_what_the_metadata_says_after_a_link_counts(client: Client) -> None:
    story = Story("later")
    story.customer(metadata=named(story, "ada"))
    story.subscription("A", metadata=named(story, "ada"))
    story.subscription("B", metadata=named(story, "eve"))
    for event in story.events:
        await client.send(event)
    await link(client, story, "eve")
    assert await users_of(client, story, "AB") == {"A": "eve", "B": "eve"}
    # The clock stands at T + 5 days.
    at, back = 6 * DAY, {"metadata": named(story, "eve")}
    story.subscription("B", at, previous=back, metadata=named(story, "ada"))
    story.subscription("C", at, created=T + at, start_date=T + at, metadata=named(story, "ada"))
    for event in story.events[-2:]:
        await client.send(event)
    assert await users_of(client, story, "ABC") == {"A": "eve", "B": "ada", "C": "ada"}


async def test_a_customer_goes_from_hand_to_hand_and_to_nobody_with_what_follows_it(client: Client) -> None:
    story = Story("hands")
    story.customer()
    story.subscription("A", metadata=named(story, "ada"))
    story.subscription("B")
    for event in story.events:
        await client.send(event)
    for user, expected in (
        ("bob", {"A": "ada", "B": "bob"}),  # nobody held the customer, so ada's subscription stays
        ("ada", {"A": "ada", "B": "ada"}),
        ("eve", {"A": "eve", "B": "eve"}),
        (None, {"A": None, "B": None}),
        ("ada", {"A": "ada", "B": "ada"}),
        ("ada", {"A": "ada", "B": "ada"}),
    ):
        await link(client, story, user)
        assert await users_of(client, story, "AB") == expected, user


async def test_a_customer_that_is_linked_time_and_again_takes_its_subscription_along(client: Client) -> None:
    story = Story("often")
    story.customer(metadata=named(story, "ada"))
    story.subscription("A", metadata=named(story, "ada"))
    for event in story.events:
        await client.send(event)
    for number in range(30):
        await link(client, story, f"user{number % 7}")
    assert await users_of(client, story, "A") == {"A": "user1"}


async def update(client: Client, story: Story, name: str, user: str | None) -> Any:
    body = {
        "customer_id": story.customer_id,
        "subscription_id": story.id(f"sub{name}"),
        "plan_id": "price_team",
        "start_date": T,
        "expiry_date": T + 30 * DAY,
        "status": "active",
        "user_id": story.id(user) if user is not None else None,
    }
    response = await client.http.post("/internal/subscription/update", json=body, headers=AUTH)
    assert response.status_code == 200, response.text
    return response.json()


@in_some_orders
async def test_an_update_claims_its_subscription_above_all_else_and_no_other(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "ada"))
        story.subscription("A", metadata=named(story, "org"))
        story.subscription("B")
        return story

    async def check(story: Story) -> None:
        assert (await update(client, story, "A", "eve"))["user_id"] == story.id("eve")
        story.subscription("A", DAY, previous={"metadata": named(story, "org")}, metadata=named(story, "bob"))
        await client.send(story.events[-1])
        assert (await update(client, story, "A", None))["user_id"] == story.id("eve")
        assert await users_of(client, story, "AB") == {"A": "eve", "B": "ada"}
        stored = await client.read(f"/internal/customers/{story.customer_id}")
        assert stored["user_id"] == story.id("ada")

    await in_every_order(client, build, check, most=most)


async def test_an_update_claims_the_customer_only_while_nothing_else_does(client: Client) -> None:
    story = Story("upd")
    await update(client, story, "A", "ada")
    assert (await client.read(f"/internal/customers/{story.customer_id}"))["user_id"] == story.id("ada")
    await update(client, story, "B", "bob")
    assert (await client.read(f"/internal/customers/{story.customer_id}"))["user_id"] == story.id("ada")
    await update(client, story, "A", "eve")  # a slip is put right
    assert (await client.read(f"/internal/customers/{story.customer_id}"))["user_id"] == story.id("eve")
    story.customer(metadata=named(story, "zoe"))
    await client.send(story.events[-1])
    assert (await client.read(f"/internal/customers/{story.customer_id}"))["user_id"] == story.id("zoe")
    assert await users_of(client, story, "AB") == {"A": "eve", "B": "bob"}


async def test_an_update_after_a_link_stays_and_one_before_it_follows(client: Client) -> None:
    story = Story("both")
    story.customer(metadata=named(story, "ada"))
    await client.send(story.events[-1])
    await update(client, story, "A", "ada")
    await link(client, story, "eve")
    await update(client, story, "B", "ada")  # within the same second
    assert await users_of(client, story, "AB") == {"A": "eve", "B": "ada"}


async def test_whoever_gains_or_loses_a_subscription_leaves_the_caches(client: Client) -> None:
    told: set[str] = set()

    def hear(sender: object, *, user_ids: set[str]) -> None:
        told.update(user_ids)

    story = Story("told")
    story.customer(metadata=named(story, "ada"))
    story.subscription("A", metadata=named(story, "org"))
    story.subscription("B")
    for event in story.events:
        await client.send(event)
    users_changed.connect(hear)
    try:
        for action, expected in (
            (lambda: story.customer(1, metadata=named(story, "bob")), {"ada", "bob", "org"}),
            (lambda: story.subscription("A", 2, metadata=named(story, "eve")), {"org", "eve"}),
            (lambda: story.customer(3, "customer.deleted", metadata=named(story, "bob")), {"bob", "eve"}),
        ):
            told.clear()
            action()
            await client.send(story.events[-1])
            assert {user_id.removesuffix("_told") for user_id in told} >= expected - {"org"}
        told.clear()
    finally:
        users_changed.disconnect(hear)


async def test_rows_of_an_older_release_are_their_customers_until_an_event_tells_more(client: Client) -> None:
    service: Service = client.app.state.billing
    story = Story("old")
    story.customer(metadata=named(story, "ada"))
    story.subscription("A")
    story.subscription("B", metadata=named(story, "org"))
    for event in story.events:
        await client.send(event)
    claim = '{"metadata": {"user_id": "org_old", "created": 1893456000, "event_id": "evt_2_old", '
    claim += '"object_id": "subB_old"}}'
    async with service.database.session() as session:
        connection = await session.connection()
        rows = "UPDATE billing_subscription SET user_id = NULL, link_source = NULL, links = NULL"
        await connection.execute(text(rows))
        older = (
            f"UPDATE billing_customer SET user_id = 'org_old', link_source = 'metadata', links = '{claim}'"
        )
        await connection.exec_driver_sql(older)
    service.limits.snapshots.forget(None)
    assert await users_of(client, story, "AB") == {"A": "org", "B": "org"}
    assert await plan_of(client, "org_old") == "team"
    shown = await client.read("/internal/users/org_old")
    assert len(shown["subscriptions"]) == 2
    # What the subscription says becomes its own; the customer says itself whose it is.
    story.subscription("B", DAY, metadata=named(story, "org"))
    story.customer(DAY, metadata=named(story, "ada"))
    for event in story.events[-2:]:
        await client.send(event)
    assert await users_of(client, story, "AB") == {"A": "ada", "B": "org"}
