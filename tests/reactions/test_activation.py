"""`subscription_activated` is announced with the user, whichever event names that one, and when."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from app.service import Service
from app.signals import Reaction, subscription_activated
from app.worker.activations import HOLD_SECONDS, Activations
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..inbox.stories import DAY, Story, T
from ..limits.helpers import Clock

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = T + 5 * DAY
    return clock


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        yield client


async def wait_for_users(client: Client, clock: Clock, seconds: int) -> None:
    """What a worker announces after so many seconds."""
    clock.now += seconds
    await client.app.state.billing.worker.activations.announce_due()
    await asyncio.sleep(0)


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
async def test_the_user_that_only_the_session_names_is_announced_once_in_every_order(
    client: Client, told: list[Reaction], clock: Clock, how: str
) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        tag = f"{how}{number}"
        says = f"ada_{tag}" if how == "client_reference_id" else {"user_id": f"ada_{tag}"}
        story = bought(tag, **{how: says})
        for place in (*order, *order):
            await client.send(story.events[place])
        await wait_for_users(client, clock, HOLD_SECONDS)
        mine = [each for each in told if each.subscription_id == story.id("subA")]
        assert [each.user_id for each in mine] == [f"ada_{tag}"], order


async def test_without_a_user_it_is_announced_after_a_while_and_once_more_for_a_user_who_comes_later(
    client: Client, told: list[Reaction], clock: Clock
) -> None:
    story = Story("hand")
    story.subscription("A")
    await client.send(story.events[0])
    await wait_for_users(client, clock, HOLD_SECONDS - 1)
    assert told == []
    await wait_for_users(client, clock, 1)
    await wait_for_users(client, clock, HOLD_SECONDS)
    assert [each.user_id for each in told] == [None]
    path = f"/internal/customers/{story.customer_id}"
    for user_id in ("ada", "bob"):
        await client.http.put(path, json={"user_id": user_id}, headers=AUTH)
    await wait_for_users(client, clock, HOLD_SECONDS)
    assert [each.user_id for each in told] == [None, "ada"]
    assert told[-1].facts["changes"] == {"user_id": [None, "ada"]}


async def test_a_user_who_is_known_in_time_is_announced_once_with_what_has_changed(
    client: Client, told: list[Reaction], clock: Clock
) -> None:
    story = Story("link")
    story.subscription("A")
    await client.send(story.events[0])
    await client.http.put(f"/internal/customers/{story.customer_id}", json={"user_id": "ada"}, headers=AUTH)
    await wait_for_users(client, clock, HOLD_SECONDS)
    assert [each.user_id for each in told] == ["ada"]
    assert told[0].facts["changes"]["status"] == [None, "active"]
    assert told[0].event_id == story.events[0]["id"]


async def test_what_is_over_before_its_user_is_known_is_announced_before_its_end(
    client: Client, told: list[Reaction]
) -> None:
    story = Story("short")
    story.subscription("A")
    story.subscription("A", 1, type_="customer.subscription.deleted", status="canceled", ended_at=T + 1)
    for event in story.events:
        await client.send(event)
    assert [each.signal for each in told] == ["subscription_activated"]


async def test_two_processes_announce_an_activation_without_a_user_once(
    client: Client, told: list[Reaction], clock: Clock
) -> None:
    story = Story("both")
    story.subscription("A")
    await client.send(story.events[0])
    clock.now += HOLD_SECONDS
    service: Service = client.app.state.billing
    each = [Activations(service.database, service.inbox.transactions, clock=clock) for _ in range(3)]
    await asyncio.gather(*(process.announce_due() for process in each))
    await asyncio.sleep(0)
    assert len(told) == 1


async def test_a_reaction_names_the_subscriptions_own_user_and_not_its_payers(
    client: Client, told: list[Reaction]
) -> None:
    story = Story("own")
    story.customer(metadata={"user_id": "person"})
    story.subscription("A", metadata={"user_id": "org"})
    for event in story.events:
        await client.send(event)
    assert [each.user_id for each in told] == ["org"]


async def test_one_that_cannot_be_announced_keeps_no_other_back(
    client: Client, told: list[Reaction], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories = [Story("one"), Story("two")]
    for story in stories:
        story.subscription("A")
        await client.send(story.events[0])
    first, second = sorted(story.id("subA") for story in stories)
    activations: Activations = client.app.state.billing.worker.activations
    announce = activations._announce

    async def fails_for_the_first(subscription_id: str, customer_id: str | None) -> None:
        if subscription_id == first:
            raise LookupError("a fault of ours")
        await announce(subscription_id, customer_id)

    with monkeypatch.context() as patched:
        patched.setattr(activations, "_announce", fails_for_the_first)
        await wait_for_users(client, clock, HOLD_SECONDS)
    assert [each.subscription_id for each in told] == [second]
    await wait_for_users(client, clock, 0)
    assert [each.subscription_id for each in told] == [second, first]
