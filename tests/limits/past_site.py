"""A service whose clock and catalogue a test moves, and which is asked what was before."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson

from app.db import Database, open_database
from app.db.models import Price, RecordHistory, StoredCatalogue, Subscription, table_of
from app.entitlements import Entitlements
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
from app.plans import Catalogue, load_catalogue
from app.reactions.outbox import Outbox
from app.service import Service
from app.stripe.client import Answer
from app.sync.objects import StripeObjects

from ..inbox.purchases import PLANS
from ..operations.random_catalogues import random_catalogue
from ..properties.world import NOW, World

DAY = 86_400

handlers.connect()


class NothingMore:
    """Stripe's API, which knows no more of an object than what was said: it is whole, and of no session."""

    livemode = False

    async def get(self, path: str, **params: Any) -> Answer:
        return Answer({"data": [], "has_more": False}, NOW)

    async def complete(self, kind: str, answer: Answer) -> Answer:
        return answer


@dataclass
class Site:
    """A service whose clock moves only when a test says so, and whose catalogue may change."""

    database: Database
    rng: random.Random
    plans: Path
    make: Callable[[random.Random, Path], Catalogue] = random_catalogue
    now: int = NOW
    catalogue: Catalogue = field(init=False)
    inbox: Inbox = field(init=False)

    def clock(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += self.rng.choice((1, 30, 3600, DAY, 9 * DAY))

    async def deploy(self) -> None:
        """Start with another catalogue."""
        self.catalogue = self.make(self.rng, self.plans)
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


def shop(rng: random.Random, path: Path) -> Catalogue:
    """A catalogue that sells plans and credits once."""
    path.write_text(PLANS)
    return load_catalogue(path)


@asynccontextmanager
async def site(
    url: str,
    rng: random.Random,
    plans: Path,
    make: Callable[[random.Random, Path], Catalogue] = random_catalogue,
) -> AsyncIterator[Site]:
    made = Site(open_database(url), rng, plans, make)
    async with made.database.session() as session:  # of a history before
        for model in (StoredCatalogue, Price, RecordHistory):
            await (await session.connection()).execute(table_of(model).delete())
    await made.deploy()
    try:
        yield made
    finally:
        await made.inbox.stop()
        await made.database.close()
