"""A `client_reference_id` that names somebody else's user opens nothing of a stranger's for that user."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from app.billing import customers
from app.sync.objects import StripeObjects

from ..client import AUTH, Client, running
from ..inbox.stories import DAY, Story, T, in_every_order, in_some_orders

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: T + 5 * DAY) as client:
        yield client


ITEM = dict.fromkeys(("product_id", "unit_amount", "currency", "interval", "interval_count"))
ITEMS = json.dumps([ITEM | {"item_id": "si_1", "price_id": "price_team", "quantity": 1}])


def stranger(story: Story, other: str) -> Story:
    """Somebody who bought by a payment link, and put the id of another user into its address."""
    theirs = Story(f"x{story.tag}")
    theirs.subscription("A", price="price_team", quantity=5, status="past_due")
    theirs.session("A", 10, client_reference_id=other)
    theirs.open_invoice("A", DAY)
    story.events += theirs.events
    return theirs


async def summary_of(client: Client, user_id: str) -> Any:
    return await client.read(f"/internal/users/{user_id}/summary")


async def test_beside_a_customer_of_their_own_a_strangers_adds_limits_and_is_never_shown(
    client: Client,
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata={"user_id": story.id("ada")})
        story.subscription("A", price="price_starter")
        stranger(story, story.id("ada"))
        return story

    async def check(story: Story) -> None:
        user_id = story.id("ada")
        has = await client.read(f"/internal/users/{user_id}/entitlements")
        assert (has["plan"], has["status"], has["access"]) == ("starter", "active", "full")
        assert has["grace_ends_at"] is None
        assert has["features"]["projects"]["limit"] == 50  # of the stranger's plan
        shown = await summary_of(client, user_id)
        assert [each["subscription_id"] for each in shown["subscriptions"]] == [story.id("subA")]
        assert (shown["open_invoices"], shown["banners"], shown["restorable_plan"]) == ([], [], None)
        user = await client.read(f"/internal/users/{user_id}")
        assert user["invoices"] == []
        sources = {each["subscription_id"]: each["link_source"] for each in user["subscriptions"]}
        assert sources == {story.id("subA"): "customer", f"subA_x{story.tag}": "checkout"}

    await in_every_order(client, build, check, most=8)


async def test_a_customer_without_any_subscription_is_enough_to_be_somebodys_own(client: Client) -> None:
    story = Story("free")
    story.customer(metadata={"user_id": story.id("ada")})
    stranger(story, story.id("ada"))
    for event in story.events:
        await client.send(event)
    has = await client.read(f"/internal/users/{story.id('ada')}/entitlements")
    assert (has["plan"], has["status"]) == ("free", None)
    assert has["features"]["projects"]["limit"] == 50
    shown = await summary_of(client, story.id("ada"))
    assert (shown["subscriptions"], shown["open_invoices"], shown["banners"]) == ([], [], [])


@in_some_orders
async def test_the_only_customer_counts_fully_and_of_several_the_first(client: Client, most: int) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.subscription("A", price="price_starter")
        story.session("A", client_reference_id=story.id("ada"))
        return story

    async def check(story: Story) -> None:
        shown = await summary_of(client, story.id("ada"))
        assert (shown["plan"], len(shown["subscriptions"])) == ("starter", 1)
        theirs = stranger(story, story.id("ada"))
        for event in theirs.events:
            await client.send(event)
        shown = await summary_of(client, story.id("ada"))
        assert (shown["plan"], shown["open_invoices"]) == ("starter", [])
        assert [each["subscription_id"] for each in shown["subscriptions"]] == [story.id("subA")]

    await in_every_order(client, build, check, most=most)


async def test_a_deleted_customer_makes_no_other_a_strangers(client: Client) -> None:
    story = Story("gone")
    story.customer(type_="customer.deleted", metadata={"user_id": story.id("ada")})
    new = Story("new")
    new.subscription("A", price="price_starter")
    new.session("A", client_reference_id=story.id("ada"))
    for event in (*story.events, *new.events):
        await client.send(event)
    assert (await summary_of(client, story.id("ada")))["plan"] == "starter"


async def test_the_portal_and_the_checkout_know_only_customers_of_their_own(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Key:
        livemode = False

    def stripe_of(service: object) -> tuple[Key, StripeObjects | None]:
        return Key(), None

    monkeypatch.setattr(customers, "stripe_of", stripe_of)
    story = Story("portal")
    stranger(story, story.id("ada"))
    for event in story.events:
        await client.send(event)
    service = client.app.state.billing
    found = await customers.customers_of(service, story.id("ada"))
    assert [each.id for each in found.usable] == ["cus_xportal"]  # the only one counts fully
    story.customer(metadata={"user_id": story.id("ada")})
    await client.send(story.events[-1])
    found = await customers.customers_of(service, story.id("ada"))
    assert [each.id for each in found.usable] == [story.customer_id]
    # A payer that is linked to somebody else is one, too: what it pays for is this user's by its own claim.
    payer = Story("payer")
    payer.customer(metadata={"user_id": payer.id("bob")})
    payer.subscription("A", metadata={"user_id": story.id("ada")})
    for event in payer.events:
        await client.send(event)
    found = await customers.customers_of(service, story.id("ada"))
    assert [each.id for each in found.usable] == [payer.customer_id, story.customer_id]
    free = [each.id for each in found.usable if customers.is_free(each, story.id("ada"))]
    assert free == [story.customer_id]


@pytest.mark.long
async def test_a_user_with_a_thousand_customers_has_all_of_their_subscriptions(client: Client) -> None:
    service = client.app.state.billing
    count = 1000
    async with service.database.session() as session:
        connection = await session.connection()
        await connection.execute(
            text(
                "INSERT INTO billing_customer (id, user_id, link_source, links, deleted, needs_refresh, "
                "snapshot_burst, version, updated_at) "
                "VALUES (:id, 'ada', 'metadata', '{}', :no, :no, 0, 1, 1)"
            ),
            [{"id": f"cus_{n}", "no": False} for n in range(count)],
        )
        await connection.execute(
            text(
                "INSERT INTO billing_subscription (id, customer_id, user_id, links, status, items, plan_id, "
                "quantity, cancel_at_period_end, stripe_metadata, needs_refresh, snapshot_burst, version, "
                "updated_at) VALUES (:id, :customer, :user, :links, 'active', :items, 'price_team', 1, :no, "
                "'{}', :no, 0, 1, 1)"
            ),
            [
                {
                    "id": f"sub_{n}",
                    "customer": f"cus_{n}",
                    # Every other row is of an older release.
                    "user": "ada" if n % 2 else None,
                    "links": "{}" if n % 2 else None,
                    "items": ITEMS,
                    "no": False,
                }
                for n in range(count)
            ],
        )
    user = await client.read("/internal/users/ada")
    assert (len(user["customers"]), len(user["subscriptions"])) == (count, count)
    entitlements = await service.limits.load("ada")
    assert len(entitlements.subscriptions) == count
    assert entitlements.plan == "team"


async def test_the_answer_of_a_customer_is_for_the_user_that_it_pays_for(client: Client) -> None:
    story = Story("one")
    story.customer()
    story.subscription("A")
    story.session("A", metadata={"user_id": story.id("ada")})
    for event in story.events:
        await client.send(event)
    path = f"/internal/customers/{story.customer_id}/entitlements"
    has = await client.read(path)
    assert (has["user_id"], has["plan"]) == (story.id("ada"), "team")
    story.subscription("B", metadata={"user_id": story.id("bob")})
    await client.send(story.events[-1])
    assert (await client.read(path))["user_id"] is None  # of two users it is neither
    listed = await client.http.get("/internal/customers", params={"linked": False}, headers=AUTH)
    assert listed.json()["data"] == []
