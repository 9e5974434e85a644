"""A thin event alone says what its snapshot does; both together, in any order and twice, say it once."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.config import SHIPPED_PLANS
from app.db import open_database
from app.errors import NotFound
from app.inbox import handlers
from app.inbox.delivery import receive
from app.inbox.inbox import Inbox
from app.plans import load_catalogue
from app.reactions.outbox import Outbox
from app.signals import Reaction, reactions
from app.simulator import NEW, Account, Customer, Event, event_body, random_history, render, thin_event, truth
from app.stripe.client import Answer
from app.sync.objects import StripeObjects
from app.sync.pending import UNCHANGED_SECONDS, PendingFetches
from tests.database_pool import DatabasePool
from tests.records import stored

from ..simulator.histories import Json

pytestmark = pytest.mark.postgresql_in_long

handlers.connect()

FACTS = {
    "payment_failed",
    "payment_recovered",
    "payment_action_required",
    "trial_ending",
    "subscription_ended",
}
"""What a history tells that is announced once: named after what happened."""


class Stripe:
    """Stripe's API, as far as it has come: it shows each object as the last event left it."""

    livemode = False

    def __init__(self) -> None:
        self.now = 0
        self._shown: dict[str, Json] = {}

    def go_on(self, event: Event) -> None:
        self.now = max(self.now, event.created)
        content = render(event.after, NEW)
        if isinstance(event.after, Customer) and event.after.deleted:
            content = {"id": event.after.id, "object": "customer", "deleted": True}
        self._shown[event.after.id] = content

    async def read(self, kind: str, object_id: str) -> Answer:
        if object_id not in self._shown:
            raise NotFound(object_id)
        return Answer(self._shown[object_id], self.now - 1)

    async def get(self, path: str, **params: Any) -> Answer:
        return Answer({"data": [], "has_more": False}, self.now - 1)

    async def complete(self, kind: str, answer: Answer) -> Answer:
        return answer


class Side:
    """A service that takes in one form of the events, or both."""

    def __init__(self, inbox: Inbox, api: Stripe, pending: PendingFetches) -> None:
        self.inbox, self.api, self.pending = inbox, api, pending

    async def take(self, *payloads: Json) -> None:
        deliveries = [
            receive(orjson.dumps(payload), signature=None, received_at=self.api.now) for payload in payloads
        ]
        await asyncio.gather(*(self.inbox.accept(delivery) for delivery in deliveries))

    async def read_all(self) -> None:
        """Read what waits, and what the order of events left open."""
        for _ in range(20):
            self.api.now += UNCHANGED_SECONDS + 1
            if not await self.pending.refresh_due():
                return
        raise AssertionError("there is always more to read")


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Side]:
    database, api = open_database(url), Stripe()

    def clock() -> float:
        return api.now

    outbox = Outbox(database, clock=clock)
    inbox = Inbox(
        database, catalogue=load_catalogue(SHIPPED_PLANS), outbox=outbox, livemode=None, clock=clock
    )
    objects = StripeObjects(database, inbox, api, clock=clock)  # type: ignore[arg-type]
    pending = PendingFetches(database, objects, api, clock=clock)  # type: ignore[arg-type]
    inbox.start()
    try:
        yield Side(inbox, api, pending)
    finally:
        await inbox.stop()
        await outbox.stop()
        await database.close()


@pytest.fixture
def told() -> Iterator[list[Reaction]]:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    for signal in reactions.values():
        signal.connect(hear)
    yield heard
    for signal in reactions.values():
        signal.disconnect(hear)


def lived(seed: int) -> Account:
    account = Account(seed)
    random_history(account, random.Random(seed), steps=8)
    return account


async def heard_by(told: list[Reaction]) -> Counter[str]:
    """What was announced since the last time, by its id."""
    await asyncio.sleep(0)
    counted = Counter(each.id for each in told if each.signal in FACTS)
    told.clear()
    return counted


def in_time(accounts: list[Account]) -> list[list[Event]]:
    """What happens in the accounts in the order of time, in groups with one event of an account at most."""
    events = [(event, number) for number, account in enumerate(accounts) for event in account.events]
    groups: list[list[Event]] = [[]]
    here: set[int] = set()
    for event, number in sorted(events, key=lambda each: each[0].created):
        if number in here:
            groups.append([])
            here.clear()
        groups[-1].append(event)
        here.add(number)
    return groups


async def in_order(side: Side, accounts: list[Account], *, thin: bool) -> None:
    for group in in_time(accounts):
        for event in group:
            side.api.go_on(event)
        await side.take(
            *(thin_event(event) if thin else orjson.loads(event_body(event, NEW)) for event in group)
        )
        if thin:
            await side.pending.refresh_due()
    await side.read_all()


async def both_shuffled(side: Side, accounts: list[Account], rng: random.Random) -> None:
    """Each event in both forms, a third of them twice, after Stripe has come to the end."""
    events = [event for account in accounts for event in account.events]
    for event in sorted(events, key=lambda each: each.created):
        side.api.go_on(event)
    payloads = [orjson.loads(event_body(event, NEW)) for event in events]
    payloads += [thin_event(event) for event in events]
    payloads += rng.sample(payloads, len(payloads) // 3)
    rng.shuffle(payloads)
    while payloads:
        size = rng.choice((1, 3, 20)) * len(accounts)
        taken, payloads = payloads[:size], payloads[size:]
        await side.take(*taken)
        if rng.random() < 0.3:
            await side.pending.refresh_due()
    await side.read_all()


async def records(side: Side, account: Account) -> tuple[Any, Any]:
    """The subscriptions and invoices that are stored, and those that Stripe itself shows.

    Of a deleted customer Stripe's API tells only the id, and so not whose it was.
    """
    wanted = truth(account)
    found = await stored(side.inbox.database, wanted)
    for told in (found, wanted):
        for subscription in told["subscriptions"].values():
            subscription.pop("user_id")
    kinds = ("subscriptions", "invoices")
    return {kind: found[kind] for kind in kinds}, {kind: wanted[kind] for kind in kinds}


QUICK = range(2)
MORE = range(2, 12)
PARTS = [range(first, first + 250) for first in range(0, 2000, 250)]
AT_ONCE = 10
"""So many histories run side by side, in accounts of their own: what is read and written is shared."""


def named(seeds: range) -> str:
    return f"{seeds.start}-{seeds.stop - 1}"


@pytest.fixture(params=["sqlite", "postgresql"])
def three_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The addresses of three fresh, migrated databases, on each kind in turn."""
    names = ("snapshot", "thin", "both")
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        for name in names:
            shutil.copy(template, tmp_path / f"{name}.db")
        yield [f"sqlite:///{tmp_path}/{name}.db" for name in names]
        return
    databases: DatabasePool = request.getfixturevalue("postgres_databases")
    with ExitStack() as stack:
        yield [stack.enter_context(databases.database()) for _ in names]


@pytest.mark.parametrize(
    "seeds",
    [
        QUICK,
        pytest.param(MORE, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep]),
        *(pytest.param(seeds, marks=pytest.mark.deep) for seeds in PARTS),
    ],
    ids=named,
)
async def test_thin_events_alone_and_beside_their_snapshots_say_the_same_once(
    three_urls: list[str], told: list[Reaction], seeds: range
) -> None:
    heard: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        snapshot, thin, both = [await stack.enter_async_context(serving(url)) for url in three_urls]
        for first in range(seeds.start, seeds.stop, AT_ONCE):
            group = range(first, min(first + AT_ONCE, seeds.stop))
            accounts = [lived(seed) for seed in group]
            await in_order(snapshot, accounts, thin=False)
            by_snapshots = await heard_by(told)
            await in_order(thin, accounts, thin=True)
            by_thin = await heard_by(told)
            await both_shuffled(both, accounts, random.Random(first))
            by_both = await heard_by(told)
            for seed, account in zip(group, accounts, strict=True):
                for side in (snapshot, thin, both):
                    found, wanted = await records(side, account)
                    assert found == wanted, seed
            assert by_thin == by_snapshots, group
            assert {*by_snapshots.values(), *by_thin.values(), *by_both.values()} <= {1}, group
            heard += Counter(id.partition(":")[0] for id in by_snapshots)
    assert heard, "the histories tell something"
