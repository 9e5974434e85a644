"""A service, a clock and a listener, for all tests of reactions."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.reactions.outbox import Outbox
from app.signals import (
    disconnect_durable,
    durable,
)
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import Clock
from .helpers import HEARD, Listener, undocumented_facts


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    for signal in HEARD:
        durable(signal, listener, name=listener.name)
    yield listener
    for signal in HEARD:
        disconnect_durable(signal, listener.name)
    assert [f"{each.signal}: {name}" for each in listener.heard for name in undocumented_facts(each)] == []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    # The service's own tasks would deliver what a test means to.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        yield client
