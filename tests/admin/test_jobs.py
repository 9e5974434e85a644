"""The overview's cards of the jobs that call Stripe: marked once one failed or is late."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.checks.jobs import MISSED
from app.db.models import Job, Subscription
from app.errors import StripeUnavailable
from app.simulator import DAY, Account
from app.sync import leases
from tests.shop import Shop, shop

from .visitor import USERNAME, Visitor, logged_in, password_hash, words

pytestmark = pytest.mark.postgresql_in_long

MINUTES = 15


@asynccontextmanager
async def screen(database_url: str, **changes: Any) -> AsyncIterator[tuple[Shop, Visitor]]:
    """A service beside a simulated Stripe whose jobs run when a test says so, and who looks at it."""
    settings = {"admin_username": USERNAME, "admin_password_hash": SecretStr(password_hash())}
    account = Account(1)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    async with shop(database_url, account=account, **(settings | changes)) as here:
        transport = httpx.ASGITransport(here.client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://billing.test") as http:
            yield here, Visitor(http)


async def card(visitor: Visitor, title: str) -> tuple[str, str]:
    """The card's level, and what it says."""
    await visitor.log_in()  # the last session may have ended: these clocks move by hours
    for part in (await visitor.open("/")).split('<li class="card number ')[1:]:
        if f"<h2>{title}</h2>" in part:
            return part.split('"')[0], words(part.split(">", 1)[1].split("</li>")[0])
    raise AssertionError(title)


async def catch_up(here: Shop) -> None:
    assert here.service.catch_up is not None
    await here.service.catch_up.run()


async def reconcile(here: Shop, *, repair: bool = True) -> None:
    assert here.service.reconcile is not None
    await here.service.reconcile.run(repair=repair)


async def test_without_a_key_neither_is_set_up(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        for title in ("Last catch-up", "Last reconcile"):
            level, said = await card(visitor, title)
            assert (level, "not set up" in said, "STRIPE_API_KEY" in said) == ("", True, True)


async def test_before_the_first_time_each_says_how_to_run_it(sqlite_database: str) -> None:
    async with screen(sqlite_database, reconcile_hour=3) as (_, visitor):
        for name in ("catch-up", "reconcile"):
            level, said = await card(visitor, f"Last {name}")
            assert (level, "never" in said, f"python -m app {name}" in said) == ("warn", True, True)


async def test_a_catch_up_tells_what_it_found_until_it_is_late(database_url: str) -> None:
    async with screen(database_url, catch_up_minutes=MINUTES) as (here, visitor):
        await catch_up(here)
        level, said = await card(visitor, "Last catch-up")
        assert level == "" and "7 events had never arrived, and were fetched" in said
        here.account.advance(60)
        await catch_up(here)
        level, said = await card(visitor, "Last catch-up")
        assert level == "" and "no event was lost" in said and "2030-01-01 00:01 UTC" in said
        here.account.advance(MISSED * MINUTES * 60)
        assert (await card(visitor, "Last catch-up"))[0] == ""
        here.account.advance(1)
        level, said = await card(visitor, "Last catch-up")
        assert level == "warn" and "last finished 1 hours ago" in said


async def test_one_that_never_runs_by_itself_is_never_late(sqlite_database: str) -> None:
    async with screen(sqlite_database, catch_up_minutes=0) as (here, visitor):
        await catch_up(here)
        await catch_up(here)
        await reconcile(here)
        await reconcile(here)
        here.account.advance(20 * DAY)
        for title in ("Last catch-up", "Last reconcile"):
            level, said = await card(visitor, title)
            assert level == "" and "20 d ago" in said


async def test_a_reconcile_tells_of_differences_repaired_or_not(database_url: str) -> None:
    async with screen(database_url, reconcile_hour=3) as (here, visitor):
        await reconcile(here)
        level, said = await card(visitor, "Last reconcile")
        assert level == "" and "2 of 2 records differed; all repaired" in said
        await reconcile(here)
        level, said = await card(visitor, "Last reconcile")
        assert level == "" and "2 records are as Stripe has them" in said
        async with here.service.database.session() as session:
            row = await session.get(Subscription, next(iter(here.account.subscriptions)))
            assert row is not None
            row.status = "canceled"
            session.add(row)
        await reconcile(here, repair=False)
        level, said = await card(visitor, "Last reconcile")
        assert level == "warn" and "1 of 2 records differed from Stripe's" in said and "--repair" in said


async def test_a_reconcile_that_missed_its_night_is_late(sqlite_database: str) -> None:
    async with screen(sqlite_database, reconcile_hour=3) as (here, visitor):
        await reconcile(here)
        await reconcile(here)
        here.account.advance(MISSED * DAY)
        assert (await card(visitor, "Last reconcile"))[0] == ""
        here.account.advance(1)
        level, said = await card(visitor, "Last reconcile")
        assert level == "warn" and "last finished 72 hours ago" in said


@pytest.mark.parametrize("name", ["catch-up", "reconcile"])
@pytest.mark.long
async def test_one_that_stripe_lets_down_is_marked_at_once_and_well_after_the_next(
    database_url: str, name: str
) -> None:
    run = {"catch-up": catch_up, "reconcile": reconcile}[name]
    async with screen(database_url, reconcile_hour=3) as (here, visitor):
        for _ in range(2):
            here.faults.next("error", 3)
            with pytest.raises(StripeUnavailable):
                await run(here)
            level, said = await card(visitor, f"Last {name}")
            assert level == "warn" and "did not finish" in said
            await run(here)
            await run(here)
            assert (await card(visitor, f"Last {name}"))[0] == ""
            here.account.advance(60)


async def test_one_that_is_under_way_has_not_failed(sqlite_database: str) -> None:
    async with screen(sqlite_database) as (here, visitor):
        now = here.account.now
        async with here.service.database.session() as session:
            session.add(Job(name="reconcile", holder="x", lease_until=now + 60, started_at=now - 9000))
        level, said = await card(visitor, "Last reconcile")
        assert level == "" and "under way" in said
        here.account.advance(60)  # and now nobody has its lease: it was killed
        assert (await card(visitor, "Last reconcile"))[0] == "warn"


async def test_a_lease_that_another_process_has_taken_since_is_left_to_it(database_url: str) -> None:
    async with screen(database_url) as (here, _):
        database, now = here.service.database, here.account.now
        async with leases.released_after(database, "reconcile"):
            assert await leases.acquire(database, "reconcile", now)
            later = now + leases.LEASE_SECONDS
            assert await leases.acquire(database, "reconcile", later, holder="another process")
        assert not await leases.acquire(database, "reconcile", later)
