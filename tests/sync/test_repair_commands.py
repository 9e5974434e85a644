"""`catch-up` and `reconcile` as they are typed; and killed between any two of their lines."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.db import open_database
from app.db.migrations import migrate
from app.db.models import WebhookEvent
from app.inbox.handlers import stripe_types
from app.simulator import Account, play, truth
from app.simulator.api import API_KEY, ApiFaults, Fault, serving_in_thread
from tests import ROOT
from tests.client import KEY, SECRET
from tests.databases import somebody_waits_for_a_lock
from tests.processes import Process
from tests.records import stored
from tests.waiting import LONGEST_SECONDS, until

from .test_catch_up import NOW

KILLS = 4
PAGES = 2
"""How many pages of events each run gets before it is killed."""


def environment(database_url: str, base: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PLANS_FILE": str(ROOT / "plans.toml"),
        "DATABASE_URL": database_url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": KEY,
        "SPOOL_DIR": "",
        "STRIPE_API_KEY": API_KEY,
        "STRIPE_API_BASE": base,
    }


def start(folder: Path, settings: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return Process(
        [sys.executable, "-m", "app", *arguments],
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(folder: Path, settings: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    process = start(folder, settings, *arguments)
    printed, complaints = process.communicate(timeout=LONGEST_SECONDS)
    return process.returncode, printed + complaints


async def ids_in(database_url: str) -> set[str]:
    database = open_database(database_url)
    try:
        async with database.reading() as session:
            return set(await session.exec(select(WebhookEvent.id)))
    finally:
        await database.close()


async def lease_ends(database_url: str, until: float) -> None:
    """The lease of a killed process ends then: not before the next one has started, then at once."""
    database = open_database(database_url)
    try:
        async with database.session() as session:
            await (await session.connection()).execute(
                text("UPDATE billing_job SET lease_until = :until"), {"until": int(until)}
            )
    finally:
        await database.close()


class Pages(ApiFaults):
    """Stripe gives so many pages of events; then it does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0

    def pick(self, path: str) -> Fault | None:
        if path == "/v1/events":
            self.left -= 1
            return Fault("delay", seconds=3600 if self.left < 0 else 0)
        return super().pick(path)


@pytest.mark.long
@pytest.mark.postgresql_in_deep
async def test_a_catch_up_that_is_killed_again_and_again_goes_on_where_it_was(
    any_database_url: str, tmp_path: Path
) -> None:
    database_url, faults = any_database_url, Pages()
    account, rng = Account(3, start=NOW), random.Random(3)
    for number in range(100 * KILLS):
        account.create_subscription(account.create_customer(user_id=f"user_{number}"), "price_team")
    await asyncio.to_thread(migrate, database_url)
    with serving_in_thread(account, faults=faults) as base:
        settings, sizes = environment(database_url, base), [0]

        async def is_at_work() -> bool:
            assert process.poll() is None, process.communicate()
            return len(await ids_in(database_url)) > sizes[-1]

        for _ in range(KILLS):
            faults.left = PAGES
            process = start(tmp_path, settings, "catch-up", "--since", str(NOW))
            await until(is_at_work)
            await asyncio.sleep(rng.uniform(0, 0.1))
            process.kill()
            process.communicate()
            await lease_ends(database_url, time.time() + LONGEST_SECONDS)
            sizes.append(len(await ids_in(database_url)))
            code, said = await asyncio.to_thread(ended, tmp_path, settings, "catch-up")
            assert code == 1, said
            assert "killed" in said
            await lease_ends(database_url, 0)
        faults.left = len(account.events)
        code, said = await asyncio.to_thread(ended, tmp_path, settings, "catch-up", "--since", str(NOW))
        assert code == 0, said
    handled = {event.id for event in account.events if event.type in stripe_types()}
    assert sizes[-1] < len(handled)
    assert await ids_in(database_url) == handled
    database = open_database(database_url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()


@pytest.mark.long
async def test_a_catch_up_that_is_killed_within_a_page_goes_on_with_that_page(
    postgres_database: str, tmp_path: Path
) -> None:
    """An event of the page is locked, so each kill finds the page half taken in, whatever came before."""
    account, rng = Account(3, start=NOW), random.Random(3)
    for number in range(150):
        account.create_subscription(account.create_customer(user_id=f"user_{number}"), "price_team")
    handled = {event.id for event in account.events if event.type in stripe_types()}
    await asyncio.to_thread(migrate, postgres_database)
    database = open_database(postgres_database)
    try:
        with serving_in_thread(account) as base:
            settings = environment(postgres_database, base)
            for _ in range(KILLS):
                missing = handled - await ids_in(postgres_database)
                async with database.session() as session:
                    await database.hold(session, [f"event:{rng.choice(sorted(missing))}"])
                    process = start(tmp_path, settings, "catch-up", "--since", str(NOW))
                    await somebody_waits_for_a_lock(postgres_database)
                    process.kill()
                    process.communicate()
                await lease_ends(postgres_database, 0)
            assert await ids_in(postgres_database) != handled
            code, said = await asyncio.to_thread(ended, tmp_path, settings, "catch-up")
        assert code == 0, said
        assert await ids_in(postgres_database) == handled
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()


@pytest.mark.long
async def test_reconcile_reports_repairs_and_says_so_by_its_exit_code(
    any_database_url: str, tmp_path: Path
) -> None:
    database_url = any_database_url
    account = Account(1, start=NOW)
    subscription = play(account, "sign_up", user_id="ada")
    account.advance(60)
    await asyncio.to_thread(migrate, database_url)
    with serving_in_thread(account) as base:
        settings = environment(database_url, base)
        code, said = await asyncio.to_thread(ended, tmp_path, settings, "reconcile", "--json")
        report = json.loads(said)
        assert code == 1
        assert {each["id"] for each in report["differences"]} == {subscription.id, subscription.customer}
        code, said = await asyncio.to_thread(ended, tmp_path, settings, "reconcile", "--repair")
        assert (code, "2 repaired" in said) == (0, True), said
        assert subscription.id in said
        code, said = await asyncio.to_thread(ended, tmp_path, settings, "reconcile")
        assert (code, "0 differ" in said) == (0, True), said


@pytest.mark.parametrize("command", ["catch-up", "reconcile"])
def test_without_a_key_it_says_what_to_set(sqlite_database: str, tmp_path: Path, command: str) -> None:
    settings = environment(sqlite_database, "")
    del settings["STRIPE_API_KEY"]
    code, said = ended(tmp_path, settings, command)
    assert code == 1
    assert "STRIPE_API_KEY" in said


def test_a_time_that_is_none_is_refused(sqlite_database: str, tmp_path: Path) -> None:
    code, said = ended(tmp_path, environment(sqlite_database, ""), "catch-up", "--since", "yesterday")
    assert code == 2
    assert "30d" in said
