"""`subscription_activated` is announced with the user, whichever event names that one, and when."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from app.signals import Reaction, subscription_activated

from ..client import AUTH, Client, running
from ..inbox.stories import DAY, Story, T


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: T + 5 * DAY) as client:
        yield client


@pytest.fixture
def told() -> Iterator[list[Reaction]]:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    subscription_activated.connect(hear)
    yield heard
    subscription_activated.disconnect(hear)


def bought(tag: str, **session: object) -> Story:
    """A checkout as Stripe tells of it: the session names the user, and nothing else does."""
    story = Story(tag)
    story.subscription("A", type_="customer.subscription.created", status="incomplete")
    story.subscription("A", 1, previous={"status": "incomplete"})
    story.session("A", 1, **session)
    return story


@pytest.mark.parametrize("how", ["client_reference_id", "metadata"])
async def test_the_user_that_only_the_session_names_is_told_once_in_every_order(
    client: Client, told: list[Reaction], how: str
) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        tag = f"{how}{number}"
        says = f"ada_{tag}" if how == "client_reference_id" else {"user_id": f"ada_{tag}"}
        story = bought(tag, **{how: says})
        for place in (*order, *order):
            await client.send(story.events[place])
        mine = [each for each in told if each.subscription_id == story.id("subA")]
        assert [each.user_id for each in mine if each.user_id is not None] == [f"ada_{tag}"], order
        assert len({each.id for each in mine}) == len(mine) <= 2


async def test_a_link_by_hand_announces_a_subscription_that_was_nobodys_and_a_later_user_none(
    client: Client, told: list[Reaction]
) -> None:
    story = Story("hand")
    story.subscription("A")
    await client.send(story.events[0])
    path = f"/internal/customers/{story.customer_id}"
    for user_id in ("ada", "bob"):
        await client.http.put(path, json={"user_id": user_id}, headers=AUTH)
    assert [each.user_id for each in told] == [None, "ada"]
    assert told[-1].facts["changes"] == {"user_id": [None, "ada"]}


async def test_a_reaction_names_the_subscriptions_own_user_and_not_its_payers(
    client: Client, told: list[Reaction]
) -> None:
    story = Story("own")
    story.customer(metadata={"user_id": "person"})
    story.subscription("A", metadata={"user_id": "org"})
    for event in story.events:
        await client.send(event)
    assert [each.user_id for each in told] == ["org"]
