"""A user with many subscriptions: what they have is computed in a thread, and other requests go on."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import create_engine
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


async def test_a_synchronous_session_computes_in_its_own_thread(
    client: Client, clock: Clock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_three_subscriptions(client)
    expected = await limits.load("ada")
    computed = Computed()
    computed.go.set()
    monkeypatch.setattr(loading, "MANY_SUBSCRIPTIONS", 3)
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
