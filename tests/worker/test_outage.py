"""That the database takes no events is announced without it, by the process that sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.reactions.notifications import render
from app.reactions.outbox import Outbox
from app.simulator import Account
from app.worker.outage import ANNOUNCE_AFTER_SECONDS, OutageAlert
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import START, Clock
from ..reactions.helpers import Listener, service_of
from ..waiting import until


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(
    database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Client]:
    monkeypatch.setattr("app.inbox.readiness.CHECK_AGAIN_SECONDS", -1)
    for part in (Worker, Outbox, OutageAlert):
        monkeypatch.setattr(part, "run", lambda _: asyncio.sleep(0))
    async with running(database_url, clock=clock, spool_dir=tmp_path / "spool") as client:
        yield client


async def rename(client: Client, before: str, after: str) -> None:
    """Without its table of events the database takes none."""
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


async def heard(client: Client, listener: Listener) -> list[str]:
    """What a check announces."""
    listener.heard.clear()
    await service_of(client).outage.check()
    return listener.signals()


async def test_an_outage_is_announced_once_after_a_minute_and_again_only_after_it_was_over(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START)
    for times in range(2):
        assert await heard(client, listener) == []
        await rename(client, "billing_event", "gone")
        account.create_customer()
        assert await client.deliver(account.events[-1]) == ["deferred"]
        began = int(clock.now)
        assert await heard(client, listener) == []
        clock.now += ANNOUNCE_AFTER_SECONDS - 1
        assert await heard(client, listener) == []
        clock.now += 1
        assert await heard(client, listener) == ["database_down"]
        [reaction] = listener.heard
        assert (reaction.id, reaction.facts["since"]) == (f"database_down:{began}", began)
        title, message = render(reaction)
        assert title.startswith("The database takes no events since 20")
        assert "run `python -m app migrate`" in message
        assert f"Events that wait in the spool until then: {times + 1}." in message
        clock.now += 10 * ANNOUNCE_AFTER_SECONDS
        assert await heard(client, listener) == []
        await rename(client, "gone", "billing_event")


async def test_a_receiver_that_fails_during_an_outage_is_called_again(
    client: Client, listener: Listener, clock: Clock
) -> None:
    called: list[str] = []

    def fail_once(reaction: object) -> None:
        called.append("listener")
        if len(called) == 1:
            raise ConnectionError("not now")

    listener.behave = fail_once
    await rename(client, "billing_event", "gone")
    assert await heard(client, listener) == []
    clock.now += ANNOUNCE_AFTER_SECONDS
    assert await heard(client, listener) == []
    assert await heard(client, listener) == ["database_down"]
    assert await heard(client, listener) == []
    assert len(called) == 2


async def test_the_service_looks_by_itself_and_a_clock_that_goes_back_hides_no_outage(
    database_url: str, clock: Clock, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.worker.outage.CHECK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr("app.inbox.readiness.CHECK_AGAIN_SECONDS", -1)
    looked: list[float] = []
    check = OutageAlert.check

    async def counted(alert: OutageAlert) -> None:
        await check(alert)
        looked.append(clock.now)

    monkeypatch.setattr(OutageAlert, "check", counted)
    async with running(database_url, clock=clock, spool_dir=tmp_path / "spool") as client:
        await rename(client, "billing_event", "gone")
        clock.now -= 365 * 86_400
        looked.clear()
        await until(lambda: len(looked) > 1)
        clock.now += ANNOUNCE_AFTER_SECONDS
        await until(lambda: "database_down" in listener.signals())
