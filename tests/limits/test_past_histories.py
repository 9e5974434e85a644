"""Random histories of what is bought once: each moment is answered as it was then."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import NotFound
from app.limits import LimitExceeded
from app.operations.grants import GrantOrder, end_grant, give_grant, list_grants
from app.operations.links import link_customer
from app.plans import Catalogue, load_catalogue

from ..inbox.purchases import (
    CLOSED,
    COMPLETED,
    DISPUTED,
    FAILED,
    MADE,
    PLANS,
    REFUNDED,
    SUCCEEDED,
    charge,
    dispute,
    event,
    refund,
    session,
)
from .past_site import DAY, Site, site
from .test_past_grants import USERS, Diary, diary_of, without_drawn

pytestmark = pytest.mark.long

OFFERS = ("credits.top_up", "credits.gift", "plans.lifetime")
TOTAL = 1000
STEPS = 30


def shop_of_the_day(rng: random.Random, path: Path) -> Catalogue:
    """The shop, with other amounts at each start."""
    path.write_text(PLANS.replace("api_calls = 100", f"api_calls = {rng.choice((50, 100, 150))}"))
    return load_catalogue(path)


def life_of_a_purchase(number: int, rng: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """What Stripe says of one purchase, from the payment on: (type, object), in the order of its moments."""
    ids: dict[str, Any] = {
        "id": f"cs_test_{number}",
        "payment_intent": f"pi_{number}",
        "customer": f"cus_{number % 3}",
    }
    named = {"user_id": rng.choice(USERS)} if rng.random() < 0.7 else {}
    buyer: dict[str, Any] = {
        "metadata": named | {"grant": rng.choice(OFFERS)},
        "client_reference_id": rng.choice(USERS),
    }
    is_late = rng.random() < 0.3
    yield COMPLETED, session(not is_late, **ids, **buyer)
    if is_late:
        yield SUCCEEDED, session(**ids, **buyer)
    payment: dict[str, Any] = {"payment_intent": f"pi_{number}"}
    paid = {"id": f"ch_{number}", "customer": f"cus_{number % 3}"} | payment
    returned, refunds = 0, 0
    for _ in range(rng.randrange(4)):
        match rng.randrange(3):
            case 0 if returned < TOTAL:
                amount = rng.choice((200, TOTAL - returned))
                returned, refunds = returned + amount, refunds + 1
                made = {"charge": paid["id"]} | payment
                yield MADE, refund(f"re_{number}_{refunds}", amount, **made)
                yield REFUNDED, charge(returned, **paid)
                if rng.random() < 0.3:
                    returned -= amount
                    yield FAILED, refund(f"re_{number}_{refunds}", amount, "failed", **made)
            case 1:
                about = {"id": f"dp_{number}", "charge": paid["id"]} | payment
                amount = TOTAL - returned
                yield DISPUTED, dispute("needs_response", amount, **about)
                yield CLOSED, dispute(rng.choice(("won", "lost")), amount, **about)
                return
            case _:
                yield COMPLETED, session(**ids, **buyer)


class Shop:
    """A site where purchases live side by side, and events come late, twice and out of order."""

    def __init__(self, here: Site, diary: Diary) -> None:
        self.here, self.diary, self.rng = here, diary, here.rng
        self.lives = [life_of_a_purchase(number, self.rng) for number in range(5)]
        self.on_the_way: list[dict[str, Any]] = []
        self.given: set[str] = set()

    def something_happens_at_stripe(self) -> None:
        life = self.rng.choice(self.lives)
        if (said := next(life, None)) is None:
            self.lives.remove(life)
            return
        type, content = said
        if "created" in content:
            content["created"] = self.here.now
        number = next(self.diary.numbers)
        self.on_the_way.append(event(number, type, content, self.here.now - number))

    async def something_arrives(self) -> None:
        arrived = self.on_the_way.pop(self.rng.randrange(len(self.on_the_way)))
        for _ in range(self.rng.choice((1, 1, 2))):
            await self.here.receive(arrived)

    async def give_or_end(self) -> None:
        """An operator ends a grant of theirs, or gives one."""
        service, user = self.here.service, self.rng.choice(USERS)
        given = [each for each in await list_grants(service, user) if each.in_force and each.id in self.given]
        if given:
            await end_grant(service, user, given[0].id, actor="ann")
            return
        ends = self.rng.choice((None, self.here.now + 5 * DAY))
        order = GrantOrder(user, self.rng.choice(("api_calls", "projects")), 7, expires_at=ends)
        grant, _ = await give_grant(service, order, actor="ann")
        self.given.add(grant.id)

    async def step(self) -> None:
        rng, here = self.rng, self.here
        here.now += rng.choice((1, 3600, 4 * DAY))
        match rng.randrange(10):
            case 0:
                await here.inbox.stop()
                await here.deploy()
            case 1:
                await self.give_or_end()
            case 2:
                try:
                    await link_customer(
                        here.service, f"cus_{rng.randrange(3)}", rng.choice((*USERS, None)), actor="ann"
                    )
                except NotFound:
                    return  # nothing has named that customer yet
            case 3:
                try:
                    async with here.database.session() as own:
                        await here.service.limits.consume(own, rng.choice(USERS), "api_calls", 3)
                except LimitExceeded:
                    return
            case 4 | 5 | 6 if self.lives:
                self.something_happens_at_stripe()
            case _ if self.on_the_way:
                await self.something_arrives()
        await self.diary.write()


@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, marks=pytest.mark.postgresql_in_deep) for seed in range(8)),
        *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(8, 300)),
    ],
)
async def test_what_was_bought_is_answered_as_it_was_then(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    async with site(database_url, random.Random(seed), tmp_path / "plans.toml", shop_of_the_day) as here:
        diary = await diary_of(here)
        shop = Shop(here, diary)
        for _ in range(STEPS):
            await shop.step()
        while shop.lives:
            shop.something_happens_at_stripe()
        while shop.on_the_way:
            await shop.something_arrives()
            await diary.write()
        await diary.check()
        assert len({str(without_drawn(own)) for _, _, own in diary.written}) > 3
