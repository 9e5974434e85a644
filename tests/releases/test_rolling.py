"""A release is rolled out and taken back under load: no webhook is refused, and the records are right."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from app.db import Database, open_database
from app.simulator import Account, Event, Faults, deliveries, random_history, truth
from tests.faults.kill import Delivery, check_inbox
from tests.faults.servers import Server
from tests.records import stored
from tests.waiting import until

from .before import THIS, NoHistory, Release, release_before, remove

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("releases")]

RECORDS_SECONDS = 300
"""How long the backfill may take on a busy machine: it rests three times as long as it works."""


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    try:
        release = release_before(tmp_path_factory.mktemp("release-before"))
    except NoHistory as reason:
        pytest.skip(str(reason))
    yield release
    remove(release)


@pytest.fixture
def account() -> Account:
    account = Account(11, start=int(time.time()) - 86_400 * 200)
    random_history(account, random.Random(11), customers=15, steps=300)
    return account


def shuffled(account: Account) -> list[Event]:
    return deliveries(account.events, random.Random(12), Faults(duplicates=0.1, reorder=True))


def server(release: Release, database_url: str, folder: Path) -> Server:
    folder.mkdir(exist_ok=True)
    return Server(database_url, folder, root=release.root, python=release.python)


def spooled(folder: Path) -> list[Path]:
    return list((folder / "spool").glob("*.event"))


async def send(to: Server, events: list[Event]) -> set[str]:
    """Deliver events; each must be answered with 200. Their ids."""
    delivery = Delivery(to.url, events)
    await delivery.run()
    assert set(delivery.answers) <= {"200"}, delivery.answers
    return delivery.acknowledged


async def readyz(of: Server) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"{of.url}/readyz")


async def wrong(database: Database, account: Account) -> list[str]:
    """What the records say otherwise than Stripe itself would show, value by value."""
    expected = truth(account)
    found = await stored(database, expected)
    return [
        f"{kind} {id}: {name} is {found[kind].get(id, {}).get(name)!r}, should be {value!r}"
        for kind, records in expected.items()
        for id, record in records.items()
        for name, value in record.items()
        if found[kind].get(id, {}).get(name, ...) != value
    ]


async def are_right(database_url: str, account: Account) -> None:
    """Returns once the records are those that Stripe itself would show."""
    database = open_database(database_url)
    last: list[str] = []

    async def are_so() -> bool:
        last[:] = await wrong(database, account)
        return not last

    try:
        with suppress(TimeoutError):
            await until(are_so, RECORDS_SECONDS)
    finally:
        await database.close()
    assert "\n".join(last) == ""


async def test_a_release_is_rolled_out_and_taken_back_while_webhooks_arrive(
    before: Release, empty_database_url: str, tmp_path: Path, account: Account
) -> None:
    url, sent = empty_database_url, shuffled(account)
    parts = [sent[start::5] for start in range(5)]
    await asyncio.to_thread(before.migrate, url)
    async with server(before, url, tmp_path / "old") as old:
        got = await send(old, parts[0])
        migrating = asyncio.create_task(asyncio.to_thread(THIS.migrate, url))
        got |= await send(old, parts[1])
        await migrating
        got |= await send(old, parts[2])
        async with server(THIS, url, tmp_path / "new") as new:
            assert (await readyz(new)).json()["status"] == "ready"
            first, second = await asyncio.gather(send(old, parts[3]), send(new, parts[4]))
            got |= first | second
            await check_inbox(new.url, got)
        assert got == {event.id for event in account.events}
        # Taken back: the old release has the database to itself, and is rolled out again below.
        await send(old, sent[:50])
    assert spooled(tmp_path / "old") == []
    async with server(THIS, url, tmp_path / "new"):
        await are_right(url, account)


async def test_a_process_of_the_release_before_starts_on_the_newer_postgresql_schema(
    before: Release, postgres_database: str, tmp_path: Path, account: Account
) -> None:
    async with server(before, postgres_database, tmp_path / "old") as old:
        got = await send(old, shuffled(account))
        await check_inbox(old.url, got)
    assert spooled(tmp_path / "old") == []
    async with server(THIS, postgres_database, tmp_path / "new"):
        await are_right(postgres_database, account)


async def test_new_code_on_the_old_schema_is_not_ready_and_spools(
    before: Release, empty_postgres_database: str, tmp_path: Path, account: Account
) -> None:
    url, sent = empty_postgres_database, shuffled(account)
    await asyncio.to_thread(before.migrate, url)
    async with server(THIS, url, tmp_path / "new") as new:
        answer = await readyz(new)
        assert answer.status_code == 503
        assert "The database is at migration 0009" in answer.json()["detail"]
        got = await send(new, sent)
        assert len(spooled(tmp_path / "new")) > 0
        await asyncio.to_thread(THIS.migrate, url)
        await check_inbox(new.url, got)
        await are_right(url, account)
        assert (await readyz(new)).json()["status"] == "ready"
