"""Whatever order, however often: random histories end in the simulator's truth, in the real inbox."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import SHIPPED_PLANS
from app.db import Database, open_database
from app.db.models import Subscription
from app.inbox import handlers
from app.inbox.delivery import receive
from app.inbox.inbox import Inbox
from app.plans import load_catalogue
from app.reactions.outbox import Outbox
from app.signals import event_signal
from app.simulator import NEW, OLD, SCENARIOS, Account, Event, Shape, event_body, play, random_history, truth
from app.stripe.events import StripeEvent

from ..records import stored

pytestmark = pytest.mark.postgresql_in_long

_account_seeds = itertools.count(1_000_000)

handlers.connect()


@asynccontextmanager
async def inbox_on(url: str) -> AsyncIterator[Inbox]:
    database = open_database(url)
    inbox = Inbox(
        database,
        catalogue=load_catalogue(SHIPPED_PLANS),
        outbox=Outbox(database, clock=time.time),
        livemode=None,
        clock=time.time,
    )
    inbox.start()
    try:
        yield inbox
    finally:
        await inbox.stop()
        await database.close()


async def take_in(inbox: Inbox, batches: Sequence[Sequence[Event]], shape: Shape) -> list[str]:
    statuses: list[str] = []
    for batch in batches:
        events = [receive(event_body(event, shape), signature=None, received_at=1) for event in batch]
        outcomes = await asyncio.gather(*(inbox.accept(event) for event in events))
        statuses += [outcome.status for outcome in outcomes]
    return statuses


def split(events: Sequence[Event], rng: random.Random) -> list[list[Event]]:
    batches, rest = [], list(events)
    while rest:
        size = rng.choice((1, 1, 2, 5, 40))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


async def check_history(database: Database, inbox: Inbox, rng: random.Random, shape: Shape) -> None:
    account = Account(next(_account_seeds))
    twice = rng.choice((0.0, 0.3))
    random_history(account, rng, customers=rng.randint(1, 2), steps=rng.randint(0, 25), twice=twice)
    sent = [event for event in account.events for _ in range(rng.choice((1, 1, 1, 2)))]
    rng.shuffle(sent)
    statuses = await take_in(inbox, split(sent, rng), shape)
    assert statuses.count("duplicate") == len(sent) - len(account.events)
    expected = truth(account)
    assert await stored(database, expected) == expected


@settings(max_examples=settings().max_examples // 25)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from([OLD, NEW]))
def test_any_order_duplication_and_batching_ends_in_the_truth(
    database_url: str, seed: int, shape: Shape
) -> None:
    async def check() -> None:
        rng = random.Random(seed)
        async with inbox_on(database_url) as inbox:
            for _ in range(8):
                await check_history(inbox.database, inbox, rng, shape)

    asyncio.run(check())


@pytest.mark.parametrize("shape", [OLD, NEW])
@pytest.mark.parametrize("order", ["as it happened", "backwards"])
async def test_every_scenario_ends_in_the_truth(database_url: str, shape: Shape, order: str) -> None:
    account = Account(3)
    for name in SCENARIOS:
        play(account, name, user_id=f"user_{name}")
    events = account.events if order == "as it happened" else account.events[::-1]
    async with inbox_on(database_url) as inbox:
        await take_in(inbox, [events[n : n + 7] for n in range(0, len(events), 7)], shape)
        expected = truth(account)
        assert await stored(inbox.database, expected) == expected


async def test_a_change_whose_receiver_fails_does_not_count_among_those_of_its_second(
    database_url: str,
) -> None:
    account = Account(next(_account_seeds))
    subscription = account.create_subscription(account.create_customer())
    account.advance(60)
    account.change_quantity(subscription, 2)
    account.change_quantity(subscription, 3)
    change, failing = account.events[-2:]
    twin = account.send_twice(change)

    def raising(event: StripeEvent, unit_of_work: object) -> None:
        if event.id == failing.id:
            raise ValueError("not today")

    async with inbox_on(database_url) as inbox:
        await take_in(inbox, [account.events[:-3]], NEW)
        event_signal(failing.type).connect(raising)
        try:
            statuses = await take_in(inbox, [[change, failing, twin]], NEW)
        finally:
            event_signal(failing.type).disconnect(raising)
        async with inbox.database.reading() as session:
            row = await session.get(Subscription, subscription.id)
    assert (statuses, row and row.quantity) == (["processed", "deferred", "processed"], 2)
