"""What a user had at a moment, of what is theirs alone: grants, purchases, overrides, links of customers."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.entitlements import Entitlements
from app.entitlements.granted import NOT_DRAWN
from app.operations.grants import GrantOrder, end_grant, give_grant
from app.operations.links import link_customer
from app.operations.overrides import draft_override, end_override, set_override
from app.worker.pruning import Pruner

from ..inbox.purchases import (
    CLOSED,
    COMPLETED,
    FAILED,
    MADE,
    REFUNDED,
    charge,
    dispute,
    event,
    refund,
    session,
)
from .past_site import DAY, Site, shop, site

pytestmark = pytest.mark.postgresql_in_long

HOUR = 3600
USERS = ("ada", "bob")


class Diary:
    """What each user had after each thing that happened."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.written: list[tuple[int, str, Entitlements]] = []
        self.numbers = iter(range(1000))

    async def write(self) -> None:
        self.here.now += HOUR
        self.written += [(self.here.now, user, await self.here.answer(user)) for user in USERS]
        self.here.now += HOUR

    async def hears(self, type: str, content: dict[str, Any], *, late: int = 0) -> None:
        """An event of Stripe's arrives, `late` seconds after it happened there."""
        number = next(self.numbers)
        await self.here.receive(event(number, type, content, self.here.now - late - number))
        await self.write()

    async def check(self) -> None:
        """Each moment is answered as it was then, but for what was drawn, which is not known."""
        for at, user, answer in self.written:
            then = await self.here.answer_of_then(user, at)
            assert without_drawn(then) == without_drawn(answer), (at, user)


def without_drawn(found: Entitlements) -> Any:
    grants = [replace(each, drawn=NOT_DRAWN) for each in found.grants]
    limits = {
        key: (own.kind, own.allowance, own.limit if own.kind != "consumable" else None)
        for key, own in found.features.items()
    }
    return found.plan, found.access, found.status, grants, limits


async def diary_of(here: Site) -> Diary:
    diary = Diary(here)
    await diary.write()
    return diary


async def draw(here: Site, amount: int) -> None:
    limits = here.service.limits
    async with here.database.session() as own:
        await limits.consume(own, "ada", "api_calls", amount)


async def test_a_grant_is_given_drawn_ended_and_expires(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)
        ends = here.now + 3 * DAY
        for order in (
            GrantOrder("ada", "api_calls", 50, expires_at=ends),
            GrantOrder("ada", "projects", 7, expires_at=ends),
            GrantOrder("ada", plan="team"),
            GrantOrder("ada", "projects", 9, starts_at=here.now + 2 * DAY),
        ):
            given, _ = await give_grant(here.service, order, actor="ann")
            await diary.write()
            if order.plan is not None:
                team = given
        await draw(here, 120)
        await diary.write()
        await end_grant(here.service, "ada", team.id, actor="ann")
        await diary.write()
        for _ in range(4):
            here.now += DAY
            await diary.write()
        await diary.check()
        limits = [own.limit("projects") for _, user, own in diary.written if user == "ada"]
        assert limits == [3, 3, 10, 17, 17, 17, 10, 10, 19, 12, 12]


async def test_a_purchase_is_paid_refunded_restored_and_disputed(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)
        await diary.hears(COMPLETED, session(paid=False))
        await diary.hears(COMPLETED, session())
        await draw(here, 30)
        await diary.hears(MADE, refund("re_1", 400, at=here.now))
        await diary.hears(REFUNDED, charge(400))
        await diary.hears(FAILED, refund("re_1", 400, "failed", at=here.now))
        await diary.hears(REFUNDED, charge(300))
        await diary.hears(CLOSED, dispute("lost", 300))
        await diary.hears(CLOSED, dispute("won", 300))
        await diary.check()
        amounts = [
            sum(each.amount for each in own.grants if each.feature == "api_calls")
            for _, user, own in diary.written
            if user == "ada"
        ]
        assert amounts == [0, 0, 100, 60, 60, 100, 70, 40, 70]


async def test_a_refund_counts_from_when_it_was_processed_here(database_url: str, tmp_path: Path) -> None:
    """It was made at Stripe a day before its webhook came: until then the user had what was bought."""
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)
        await diary.hears(COMPLETED, session(offer="plans.lifetime"))
        here.now += 2 * DAY
        await diary.write()
        await diary.hears(REFUNDED, charge(1000), late=DAY)
        await diary.check()
        assert [own.plan for _, user, own in diary.written if user == "ada"] == [
            "free",
            "lifetime",
            "lifetime",
            "free",
        ]


@pytest.mark.long
async def test_a_purchase_goes_with_the_customer_that_is_linked_to_another_user(
    database_url: str, tmp_path: Path
) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)
        unnamed = {"grant": "plans.lifetime"}
        await diary.hears(COMPLETED, session(metadata=unnamed, client_reference_id="ada"))
        await link_customer(here.service, "cus_ada", "bob", actor="ann")
        await diary.write()
        await link_customer(here.service, "cus_ada", None, actor="ann")
        await diary.write()
        await diary.hears(COMPLETED, session(metadata=unnamed | {"user_id": "bob"}))
        await diary.hears(COMPLETED, session(metadata=unnamed | {"user_id": "ada"}))
        await diary.check()
        plans = [own.plan for _, _, own in diary.written]
        of_ada, of_bob = plans[::2], plans[1::2]
        assert of_ada == ["free", "lifetime", "free", "free", "free", "lifetime"]
        assert of_bob == ["free", "free", "lifetime", "free", "lifetime", "free"]


async def test_an_override_is_set_replaced_ended_and_expires(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)

        async def override(value: int, expires_at: int | None = None) -> None:
            options: dict[str, Any] = {"op": "set", "expires_at": expires_at, "reason": "", "given_by": "ann"}
            draft = draft_override(here.service, "ada", "projects", value=value, **options)
            await set_override(here.service, draft, actor="ann")
            await diary.write()

        await override(20)
        await override(30)
        await end_override(here.service, "ada", "projects", actor="ann")
        await diary.write()
        await override(40, here.now + DAY)
        here.now += 2 * DAY
        await diary.write()
        await diary.check()
        limits = [own.limit("projects") for _, user, own in diary.written if user == "ada"]
        assert limits == [3, 20, 30, 3, 40, 3]


async def test_a_purchase_of_which_retention_removed_the_past_is_not_guessed(
    database_url: str, tmp_path: Path
) -> None:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as here:
        diary = await diary_of(here)
        await diary.hears(COMPLETED, session())
        await diary.hears(REFUNDED, charge(100))
        here.now += 40 * DAY
        await diary.write()
        kept = list(diary.written[-2:])
        here.now += 30 * DAY
        await diary.hears(REFUNDED, charge(1000))
        assert await Pruner(here.database, retention_days=35, clock=here.clock).prune_history() > 0
        diary.written = [*kept, *diary.written[-2:]]
        await diary.check()
