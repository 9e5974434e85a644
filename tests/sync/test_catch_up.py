"""What never arrived is listed from Stripe and taken in; the records are then those of Stripe."""

import random
from typing import Any

import pytest
from sqlmodel import select

from app.db.models import WebhookEvent
from app.errors import StripeUnavailable
from app.inbox.handlers import stripe_types
from app.simulator import DAY, OLD, Account, deliveries, random_history, truth
from app.simulator import Faults as DeliveryFaults
from app.stripe.client import type_groups
from app.sync.catch_up import KEPT_SECONDS, OVERLAP_SECONDS
from tests.records import stored

from .conftest import Beside, Start

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_900_000_000


def lived(seed: int, *, steps: int = 60) -> Account:
    """A history within the 30 days that Stripe keeps events."""
    for shift in range(20):
        account = Account(seed, start=NOW)
        random_history(account, random.Random(seed + 1000 * shift), customers=6, steps=steps)
        if account.now - NOW < KEPT_SECONDS - DAY:
            return account
        steps = steps * 2 // 3
    raise AssertionError("every history was too long")


async def ids_in(beside: Beside) -> set[str]:
    async with beside.service.database.reading() as session:
        return set(await session.exec(select(WebhookEvent.id)))


async def catch_up(beside: Beside, since: int | None = None) -> Any:
    assert beside.service.catch_up is not None
    return await beside.service.catch_up.run(since)


@pytest.mark.parametrize("seed", range(3))
async def test_after_a_third_of_all_deliveries_was_lost_nothing_is_missing(
    database_url: str, beside: Start, seed: int
) -> None:
    account, rng = lived(seed), random.Random(seed)
    async with beside(database_url, account) as both:
        sent = deliveries(account.events, rng, DeliveryFaults(duplicates=0.2, reorder=True))
        kept = [event for event in sent if rng.random() > 1 / 3]
        await both.client.deliver(*kept)
        handled = {event.id for event in account.events if event.type in types_handled()}
        assert handled - await ids_in(both)
        found = await catch_up(both)
        assert handled <= await ids_in(both)
        assert found.missing == len(handled - {event.id for event in kept})
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        again = await catch_up(both)
        assert again.missing == 0


def types_handled() -> set[str]:
    return set(stripe_types())


def test_no_list_names_more_types_than_stripe_takes() -> None:
    groups = type_groups(sorted(types_handled()))
    assert {name for group in groups for name in group} == types_handled()
    assert max(len(group) for group in groups) <= 20
    assert len(groups) > 1


async def test_events_listed_in_another_version_than_the_endpoints_are_read_alike(
    database_url: str, beside: Start
) -> None:
    account = lived(5)
    async with beside(database_url, account) as both:
        for event in account.events[::2]:
            await both.client.deliver(event, shape=OLD)
        await catch_up(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


@pytest.mark.parametrize("seed", range(4))
async def test_one_that_is_cut_off_goes_on_where_it_was(database_url: str, beside: Start, seed: int) -> None:
    account = lived(seed)
    for _ in range(150):
        account.create_subscription(account.create_customer())
    rng = random.Random(seed)

    class CutOff(Exception):
        pass

    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None
        pages: list[int] = []
        cut = 0
        while True:
            left = rng.randint(1, 3)

            def on_progress(listed: int, missing: int) -> None:
                nonlocal left
                pages.append(listed)
                left -= 1
                if not left:
                    raise CutOff

            try:
                await both.service.catch_up.run(NOW, on_progress)
                break
            except CutOff:
                cut += 1
        assert cut >= 2
        assert pages == sorted(pages) or len(pages) < 40
        handled = {event.id for event in account.events if event.type in types_handled()}
        assert handled <= await ids_in(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


async def test_the_next_one_lists_only_what_is_new_and_an_overlap(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    for _ in range(5):
        account.create_customer()
        account.advance(DAY)
    async with beside(database_url, account) as both:
        assert (await catch_up(both)).listed == 5
        account.advance(10)
        account.create_customer()
        account.advance(OVERLAP_SECONDS // 2)
        assert (await catch_up(both)).listed == 1
        assert (await catch_up(both)).listed == 1  # within the overlap
        account.advance(2 * OVERLAP_SECONDS)
        await catch_up(both)
        assert (await catch_up(both)).listed == 0


async def test_while_stripe_is_down_it_says_so_and_a_later_one_finishes(
    database_url: str, beside: Start
) -> None:
    account = lived(3)
    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None
        both.faults.next("error", 3)  # more than the client repeats
        with pytest.raises(StripeUnavailable):
            await catch_up(both)
        assert await both.service.catch_up.is_due(3600)
        both.faults.next("rate_limit", 2, seconds=0)
        await catch_up(both)
        assert not await both.service.catch_up.is_due(3600)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
