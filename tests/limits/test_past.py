"""What a user had at a moment: the answer that was given then, whatever happened since."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from sqlmodel import col, select

from app.db import Database, open_database
from app.db.models import (
    Customer,
    Invoice,
    Price,
    RecordHistory,
    StoredCatalogue,
    Subscription,
    default_row,
    table_of,
)
from app.entitlements import CustomerRecord, Entitlements, InvoiceRecord, SubscriptionRecord
from app.errors import NotFound
from app.inbox import handlers
from app.inbox.delivery import receive
from app.inbox.inbox import Inbox
from app.limits import Limits
from app.limits.catalogues import CatalogueLog
from app.limits.loading import read_entry
from app.limits.past import load_past
from app.operations.grants import GrantOrder, end_grant, give_grant, list_grants
from app.operations.links import link_customer
from app.operations.overrides import draft_override, end_override, list_overrides, set_override
from app.plans import Catalogue
from app.reactions.outbox import Outbox
from app.service import Service
from app.stripe.client import Answer
from app.sync.objects import StripeObjects
from app.worker.pruning import Pruner

from ..operations.random_catalogues import random_catalogue
from ..properties.histories import random_world
from ..properties.world import NOW, World

pytestmark = pytest.mark.postgresql_in_long

DAY = 86_400

handlers.connect()


class NothingMore:
    """Stripe's API, of which nothing more is asked than whether an object was cut."""

    livemode = False

    async def complete(self, kind: str, answer: Answer) -> Answer:
        return answer


@dataclass
class Site:
    """A service whose clock moves only when a test says so, and whose catalogue may change."""

    database: Database
    rng: random.Random
    plans: Path
    now: int = NOW
    catalogue: Catalogue = field(init=False)
    inbox: Inbox = field(init=False)

    def clock(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += self.rng.choice((1, 30, 3600, DAY, 9 * DAY))

    async def deploy(self) -> None:
        """Start with another catalogue."""
        self.catalogue = random_catalogue(self.rng, self.plans)
        await CatalogueLog(self.database, self.catalogue, self.clock).store()
        self.inbox = Inbox(
            self.database,
            catalogue=self.catalogue,
            outbox=Outbox(self.database, clock=self.clock),
            livemode=None,
            clock=self.clock,
        )
        self.inbox.start()

    @property
    def service(self) -> Service:
        """The parts that operations work on."""
        limits = Limits(self.database, self.catalogue, self.clock)
        parts = {"database": self.database, "inbox": self.inbox, "limits": limits, "clock": self.clock}
        return cast(Service, type("Parts", (), parts | {"clock": staticmethod(self.clock)}))

    async def answer(self, user: str) -> Entitlements:
        """What the user has now, read again."""
        async with self.database.reading() as session:
            connection = await session.connection()
            entry = await read_entry(connection, user, self.catalogue, self.now)
        return entry.entitlements

    async def answer_of_then(self, user: str, at: int) -> Entitlements:
        async with self.database.read_only() as session:
            return (await load_past(await session.connection(), user, at)).entitlements

    async def receive(self, event: dict[str, Any]) -> None:
        await self.inbox.accept(receive(orjson.dumps(event), signature=None, received_at=self.now))

    async def change(self, world: World, events: list[dict[str, Any]]) -> None:
        """One thing that may change what users have."""
        rng = self.rng
        user = rng.choice(world.users)
        match rng.randrange(12):
            case 0:
                await self.inbox.stop()
                await self.deploy()
            case 1:
                feature = rng.choice(list(self.catalogue.features.values()))
                value: Any = {"flag": True, "text": "gold"}.get(feature.type, rng.choice((0, 7)))
                ends = rng.choice((None, self.now + 3 * DAY))
                draft = draft_override(
                    self.service,
                    user,
                    feature.key,
                    op="set",
                    value=value,
                    expires_at=ends,
                    reason="",
                    given_by="ann",
                )
                await set_override(self.service, draft, actor="ann")
            case 2:
                for each in (await list_overrides(self.service, user))[:1]:
                    await end_override(self.service, user, each.feature, actor="ann")
            case 3:
                with_user = rng.choice((user, None))
                try:
                    await link_customer(self.service, rng.choice(world.payers).id, with_user, actor="ann")
                except NotFound:
                    return
            case 4:
                await self.read_again(world)
            case 5:
                await self.give_or_end(user)
            case _ if events:
                event = events.pop(rng.randrange(len(events)))
                for _ in range(rng.choice((1, 1, 2))):
                    await self.receive(event)

    async def give_or_end(self, user: str) -> None:
        given = [each for each in await list_grants(self.service, user) if each.in_force]
        if given:
            await end_grant(self.service, user, given[0].id, actor="ann")
            return
        counted = [each.key for each in self.catalogue.features.values() if each.kind == "allocated"]
        ends = self.rng.choice((None, self.now + 5 * DAY))
        order = GrantOrder(user_id=user, plan=self.rng.choice(("pro", "team")), expires_at=ends)
        if counted and self.rng.random() < 0.5:
            order = GrantOrder(user_id=user, feature=counted[0], amount=7, expires_at=ends)
        await give_grant(self.service, order, actor="ann")

    async def read_again(self, world: World) -> None:
        """Fetch a running subscription as Stripe shows it now."""
        life = self.rng.choice(world.lives)
        if life.status != "active":
            return
        async with self.database.reading() as session:
            row = await session.get(Subscription, life.id)
        if row is not None:
            objects = StripeObjects(self.database, self.inbox, cast(Any, NothingMore()), clock=self.clock)
            await objects.apply("subscription", life.as_stripe_shows_it(), self.now, row.version)


@asynccontextmanager
async def site(url: str, rng: random.Random, plans: Path) -> AsyncIterator[Site]:
    made = Site(open_database(url), rng, plans)
    async with made.database.session() as session:  # of a history before
        for model in (StoredCatalogue, Price, RecordHistory):
            await (await session.connection()).execute(table_of(model).delete())
    await made.deploy()
    try:
        yield made
    finally:
        await made.inbox.stop()
        await made.database.close()


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
            absent, kept = sorted(rows, key=lambda row: row.version)
        assert (absent.record, absent.valid_until, kept.valid_until) == (None, 0, 5)
        wanted = {name for name in vars(protocol) if not name.startswith("_")} - {"hosted_invoice_url"}
        assert wanted <= (kept.record or {}).keys()
    await database.close()
