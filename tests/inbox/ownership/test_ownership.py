"""Whose a subscription is: its own metadata, then its session's, then its customer's."""

import pytest

from ...client import Client, running
from ..stories import DAY, Build, Story, in_every_order, in_some_orders, users_of
from .helpers import named, plan_of

pytestmark = pytest.mark.postgresql_in_long


async def check_users(client: Client, build: Build, expected: dict[str, str | None], most: int) -> None:
    """In every order, the users of the subscriptions are these."""

    async def check(story: Story) -> None:
        assert await users_of(client, story, list(expected)) == expected, story.tag

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_one_customer_pays_for_two_users_and_each_has_its_own_plan(client: Client, most: int) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer()
        story.subscription("A", metadata=named(story, "orga"))
        story.subscription("B", price="price_starter", metadata=named(story, "orgb"))
        return story

    async def check(story: Story) -> None:
        for name, plan in (("a", "team"), ("b", "starter")):
            user_id = story.id(f"org{name}")
            assert await plan_of(client, user_id) == plan
            shown = await client.read(f"/internal/users/{user_id}")
            assert [each["subscription_id"] for each in shown["subscriptions"]] == [
                story.id(f"sub{name.upper()}")
            ]
            assert [each["customer_id"] for each in shown["customers"]] == [story.customer_id]

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_a_subscription_that_names_an_organisation_stays_there_when_its_payer_edits_an_address(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "person"))
        story.subscription("A", 1, metadata=named(story, "org"))
        story.customer(DAY, metadata=named(story, "person"), address={"city": "Ulm"})
        story.subscription("B", 2 * DAY)
        return story

    await check_users(client, build, {"A": "org", "B": "person"}, most)


@in_some_orders
async def test_a_subscription_moved_by_its_metadata_stays_moved(client: Client, most: int) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "ada"))
        story.subscription("A", metadata=named(story, "ada"))
        story.subscription("A", DAY, previous={"metadata": named(story, "ada")}, metadata=named(story, "bob"))
        story.customer(2 * DAY, metadata=named(story, "ada"), balance=-500)
        return story

    await check_users(client, build, {"A": "bob"}, most)


@in_some_orders
async def test_a_user_taken_out_of_the_metadata_has_nothing_any_more(client: Client, most: int) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer()
        story.subscription("A", type_="customer.subscription.created")
        story.subscription("A", DAY, previous={"metadata": {"user_id": None}}, metadata=named(story, "wrong"))
        story.subscription("A", 2 * DAY, previous={"metadata": named(story, "wrong")})
        return story

    async def check(story: Story) -> None:
        assert await users_of(client, story, ["A"]) == {"A": None}
        assert await plan_of(client, story.id("wrong")) == "free"
        assert (await client.get(f"/internal/users/{story.id('wrong')}")).status_code == 404

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_a_user_taken_out_of_the_customers_metadata_has_nothing_any_more(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "wrong"))
        story.subscription("A")
        story.subscription("B", metadata=named(story, "org"))
        story.customer(DAY)
        return story

    await check_users(client, build, {"A": None, "B": "org"}, most)


@in_some_orders
async def test_the_session_alone_names_the_user_of_the_subscription_that_it_sold(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer()
        story.subscription("A")
        story.session("A", 1, metadata=named(story, "ada"))
        story.subscription("B", 2)
        return story

    async def check(story: Story) -> None:
        assert await users_of(client, story, ["A", "B"]) == {"A": "ada", "B": None}
        assert await plan_of(client, story.id("ada")) == "team"

    await in_every_order(client, build, check, most=most)


@in_some_orders
async def test_a_session_says_nothing_of_a_subscription_that_ever_named_a_user(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.subscription("A", metadata=named(story, "ada"))
        story.session("A", 1, metadata=named(story, "bob"))
        story.subscription("A", DAY, previous={"metadata": named(story, "ada")})
        story.session("B", 1, metadata=named(story, "bob"))
        return story

    await check_users(client, build, {"A": None}, most)


@in_some_orders
async def test_of_several_sessions_the_first_reference_links_the_customer(client: Client, most: int) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.session("A", 1, client_reference_id=story.id("first"))
        story.session("B", 2, client_reference_id=story.id("second"))
        story.subscription("A")
        story.subscription("B")
        return story

    await check_users(client, build, {"A": "first", "B": "first"}, most)


@in_some_orders
async def test_the_customers_metadata_stands_above_a_reference_and_below_what_a_session_says(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "ada"))
        story.session("A", 1, client_reference_id=story.id("bob"), metadata=named(story, "org"))
        story.subscription("A")
        story.subscription("B")
        return story

    await check_users(client, build, {"A": "org", "B": "ada"}, most)


async def test_what_is_no_id_names_nobody(client: Client) -> None:
    for number, value in enumerate(("", " ", "x" * 256, "a\nb", 7, None, {"id": "u"})):
        story = Story(f"odd{number}")
        story.subscription("A", metadata={"user_id": value})
        story.customer(metadata={"user_id": value})
        story.session("A", 1, client_reference_id=value, metadata={"user_id": value})
        for event in story.events:
            assert await client.send(event) == "processed"
        assert await users_of(client, story, ["A"]) == {"A": None}


@in_some_orders
async def test_several_metadata_keys_may_name_the_user_and_the_first_that_does_counts(
    database_url: str, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata={"owner": story.id("owner"), "user_id": story.id("other")})
        story.subscription("A", metadata={"org": story.id("org"), "owner": story.id("owner")})
        story.subscription("B", metadata={"owner": story.id("bob"), "org": " "})
        story.subscription("C")
        return story

    async with running(database_url, link_metadata_keys=("org", "owner")) as client:
        await check_users(client, build, {"A": "org", "B": "bob", "C": "owner"}, most)


@in_some_orders
async def test_a_subscription_that_only_its_invoice_names_is_its_customers_users(
    client: Client, most: int
) -> None:
    def build(tag: str) -> Story:
        story = Story(tag)
        story.customer(metadata=named(story, "ada"))
        story.invoice("A")
        return story

    async def check(story: Story) -> None:
        record = await client.read(f"/internal/subscriptions/{story.id('subA')}")
        assert (record["user_id"], record["link_source"]) == (story.id("ada"), "customer")

    await in_every_order(client, build, check, most=most)
