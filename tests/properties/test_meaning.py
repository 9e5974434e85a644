"""Random histories with claims, several items, mixed intervals, grace and pauses against an oracle apart."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.db import open_database
from app.inbox import handlers
from app.inbox.delivery import receive
from app.inbox.inbox import Inbox
from app.limits import Limits
from app.plans import Catalogue, load_catalogue
from app.reactions.outbox import Outbox

from .histories import random_world
from .oracle import PLANS, Expected, expected
from .world import NOW, World

pytestmark = pytest.mark.postgresql_in_long

handlers.connect()


def clock() -> float:
    return NOW


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    path = tmp_path / "plans.toml"
    path.write_text(PLANS)
    return load_catalogue(path)


@asynccontextmanager
async def serving(url: str, catalogue: Catalogue) -> AsyncIterator[tuple[Inbox, Limits]]:
    database = open_database(url)
    inbox = Inbox(
        database,
        catalogue=catalogue,
        outbox=Outbox(database, clock=clock),
        livemode=None,
        clock=clock,
    )
    inbox.start()
    try:
        yield inbox, Limits(database, catalogue, clock)
    finally:
        await inbox.stop()
        await database.close()


def shuffled(events: Sequence[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """All of them in any order, a third of them twice."""
    delivered = [*events, *rng.sample(list(events), len(events) // 3)]
    rng.shuffle(delivered)
    return delivered


async def deliver(inbox: Inbox, world: World, rng: random.Random) -> None:
    rest = shuffled(world.events, rng)
    while rest:
        size = rng.choice((1, 3, 40))
        batch, rest = rest[:size], rest[size:]
        deliveries = [receive(orjson.dumps(each), signature=None, received_at=NOW) for each in batch]
        outcomes = await asyncio.gather(*(inbox.accept(each) for each in deliveries))
        assert {each.status for each in outcomes} <= {"processed", "duplicate"}


async def found(limits: Limits, user: str, wanted: Expected) -> Expected:
    has = await limits.load(user)
    # Of two that are past due at once either may be shown: the oracle names no moment then.
    ends_at = has.grace_ends_at if wanted.grace_ends_at is not None else None
    return Expected(
        plan=has.plan or "",
        access=has.access,
        grace_ends_at=ends_at,
        projects=has.limit("projects") or 0,
        seats=has.limit("seats") or 0,
        sso=has.allows("sso"),
    )


@pytest.mark.parametrize(
    "histories",
    [
        30,
        pytest.param(100, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep]),
        pytest.param(2500, marks=pytest.mark.deep),
    ],
    ids=["60 in all", "200 in all", "5000 in all"],
)
async def test_what_users_have_is_what_an_oracle_tells_from_the_state_alone(
    database_url: str, catalogue: Catalogue, histories: int
) -> None:
    differences = []
    async with serving(database_url, catalogue) as (inbox, limits):
        first = 0 if database_url.startswith("sqlite") else histories
        for seed in range(first, first + histories):
            world = random_world(seed)
            await deliver(inbox, world, random.Random(seed))
            for user, wanted in expected(world).items():
                has = await found(limits, user, wanted)
                if has != wanted:
                    differences.append((seed, user, has, wanted))
    assert differences == []
