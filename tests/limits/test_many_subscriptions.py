"""A user with many subscriptions: what they have is computed in a thread, and other requests go on."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from app import limits
from app.entitlements import Entitlements, entitle
from app.limits import loading
from app.simulator import Account

from ..client import Client
from ..take_both_ways import sync_url
from .helpers import START, Clock


async def with_three_subscriptions(client: Client) -> None:
    account = Account(1, start=START - 60)
    customer = account.create_customer(user_id="ada")
    for _ in range(3):
        account.create_subscription(customer, "price_team")
    await client.deliver(*account.events)


class Computed:
    """Computes what a user has, and notes in which threads."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.go = threading.Event()

    def __call__(self, *records: Any, **known: Any) -> Entitlements:
        self.threads.append(threading.current_thread().name)
        assert self.go.wait(30)
        return entitle(*records, **known)


async def test_other_requests_go_on_meanwhile(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_three_subscriptions(client)
    expected = await limits.load("ada")
    client.app.state.billing.limits.snapshots.forget(None)
    computed = Computed()
    monkeypatch.setattr(loading, "MANY_SUBSCRIPTIONS", 3)
    monkeypatch.setattr(loading, "entitle", computed)
    asked = asyncio.create_task(client.read("/internal/users/ada/entitlements"))
    assert (await client.http.get("/healthz")).status_code == 200
    assert not asked.done()
    computed.go.set()
    await asked
    assert await limits.load("ada") == expected
    assert {name.partition("_")[0] for name in computed.threads} == {"long computations"}


async def test_other_requests_go_on_while_rows_are_made_of_what_the_database_answered(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_three_subscriptions(client)
    expected, snapshots = await limits.load("ada"), client.app.state.billing.limits.snapshots
    turns: list[int] = []

    async def noted() -> None:
        turns.append(1)

    monkeypatch.setattr(loading, "let_others_run", noted)
    for size, rests in ((1, 2), (2, 1), (3, 0), (4, 0)):
        snapshots.forget(None)
        turns.clear()
        monkeypatch.setattr(loading, "ROWS_AT_ONCE", size)
        assert await limits.load("ada") == expected
        assert len(turns) == rests


async def test_no_statement_names_thousands_of_ids(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_three_subscriptions(client)
    expected, billing = await limits.load("ada"), client.app.state.billing
    named: list[int] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *others: Any) -> None:
        if "billing_invoice.subscription_id IN" in statement:
            named.append(sum(str(each).startswith("sub_") for each in parameters))

    event.listen(billing.database.engine.sync_engine, "before_cursor_execute", note)
    monkeypatch.setattr(loading, "IDS_AT_ONCE", 2)
    billing.limits.snapshots.forget(None)
    assert await limits.load("ada") == expected
    assert named == [2, 1]


async def test_a_synchronous_session_computes_in_its_own_thread(
    client: Client, clock: Clock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_three_subscriptions(client)
    expected = await limits.load("ada")
    computed = Computed()
    computed.go.set()
    monkeypatch.setattr(loading, "MANY_SUBSCRIPTIONS", 3)
    monkeypatch.setattr(loading, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(loading, "entitle", computed)
    engine = create_engine(sync_url(database_url))

    def load() -> Any:
        with Session(engine) as session:
            return limits.load("ada", session), threading.current_thread().name

    try:
        found, own = await asyncio.to_thread(load)
    finally:
        engine.dispose()
    assert (found, computed.threads) == (expected, [own])
