"""A service and a clock, for all tests of the worker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import Clock
from ..reactions.conftest import listener as listener


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    # The service's own worker would take what a test means to take.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(database_url, clock=clock) as client:
        yield client
