"""What a user had at a moment: the answer that was given then, whatever happened since."""

import random
from pathlib import Path

import pytest
from sqlmodel import col, select

from app.db import open_database
from app.db.models import (
    Customer,
    Invoice,
    Purchase,
    RecordHistory,
    Subscription,
    default_row,
    table_of,
)
from app.entitlements import CustomerRecord, InvoiceRecord, SubscriptionRecord
from app.entitlements.purchases import PurchaseRecord
from app.errors import NotFound
from app.worker.pruning import Pruner

from ..properties.histories import random_world
from ..properties.world import NOW, World
from .past_site import DAY, Site, site

pytestmark = pytest.mark.postgresql_in_long


@pytest.mark.parametrize(
    "histories",
    [
        2,
        pytest.param(10, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep]),
        pytest.param(1000, marks=pytest.mark.deep),
    ],
    ids=["2 histories", "10 histories", "1000 histories"],
)
async def test_what_is_said_of_a_moment_is_the_answer_that_was_given_then(
    database_url: str, tmp_path: Path, histories: int
) -> None:
    differences, seen = [], set()
    for seed in range(histories):
        rng = random.Random(seed)
        world = random_world(seed)
        events, given = list(world.events), []
        async with site(database_url, rng, tmp_path / "plans.toml") as here:
            while events:
                here.wait()
                await here.change(world, events)
                if rng.random() < 0.4:
                    here.now += 1
                    given += [(here.now, user, await here.answer(user)) for user in (*world.users, "nobody")]
            here.wait()
            for at, user, answer in given:
                then = await here.answer_of_then(user, at)
                if then != answer or [then.explain(key) for key in then.features] != [
                    answer.explain(key) for key in answer.features
                ]:
                    differences.append((seed, at, user, answer, then))
                seen |= {answer.plan, answer.access}
    assert differences == []
    assert {"full", "none"} <= seen
    assert len(seen & {"free", "pro", "team"}) > 1


async def deployed_with_one_user(here: Site) -> tuple[World, str]:
    world = random_world(4)
    for event in world.events:
        here.now += 10
        await here.receive(event)
    for user in world.users:
        if (await here.answer(user)).subscriptions:
            return world, user
    raise AssertionError("no user of the world has a subscription")


async def test_what_was_before_the_first_catalogue_is_not_guessed(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml") as here:
        with pytest.raises(NotFound, match=r"known back to 2030-01-01 00:00:00 UTC") as caught:
            await here.answer_of_then("ada", NOW - 1)
        assert caught.value.facts == {"known_since": NOW}
        assert (await here.answer_of_then("ada", NOW)).as_of == NOW


async def test_what_retention_has_removed_is_said(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml") as here:
        world, user = await deployed_with_one_user(here)
        changed_at = here.now
        here.now += 40 * DAY
        kept_at, kept = here.now, await here.answer(user)
        here.now += 30 * DAY
        await here.receive(world.events[-1] | {"id": "evt_later", "created": here.now})
        pruner = Pruner(here.database, retention_days=35, clock=here.clock)
        assert await pruner.prune_history() > 0
        assert await here.answer_of_then(user, kept_at) == kept
        with pytest.raises(NotFound, match="known back to"):
            await here.answer_of_then(user, changed_at)
        with pytest.raises(NotFound, match="known back to"):  # also of somebody of whom nothing was removed
            await here.answer_of_then("nobody", here.now - 36 * DAY)


async def test_a_record_that_changed_unseen_is_not_guessed(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml") as here:
        _, user = await deployed_with_one_user(here)
        at = here.now
        async with here.database.session() as session:
            connection = await session.connection()
            table = table_of(Subscription)
            await connection.execute(table.update().values(updated_at=at + 50))
        with pytest.raises(NotFound, match="known back to"):
            await here.answer_of_then(user, at)


async def test_all_that_limits_are_made_of_is_kept(database_url: str) -> None:
    database = open_database(database_url)
    for model, protocol in (
        (Subscription, SubscriptionRecord),
        (Customer, CustomerRecord),
        (Invoice, InvoiceRecord),
        (Purchase, PurchaseRecord),
    ):
        table = table_of(model)
        async with database.session() as session:
            connection = await session.connection()
            await connection.execute(table.insert().values(default_row(model) | {"id": f"id_{table.name}"}))
            await connection.execute(table.update().values(version=1, updated_at=5))
        async with database.reading() as session:
            rows = await session.exec(
                select(RecordHistory).where(col(RecordHistory.record_id) == f"id_{table.name}")
            )
            (kept,) = rows
        assert (kept.version, kept.valid_until, (kept.record or {})["recorded_at"]) == (0, 5, 0)
        wanted = {name for name in vars(protocol) if not name.startswith("_")} - {"hosted_invoice_url"}
        assert wanted <= (kept.record or {}).keys()
    await database.close()
