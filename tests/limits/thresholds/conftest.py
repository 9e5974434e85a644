"""A service with thresholds, for all tests of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.reactions.outbox import Outbox
from app.worker.worker import Worker

from ...client import Client, running
from ...reactions.conftest import listener as listener
from ..helpers import Clock
from .helpers import PLANS


@pytest.fixture
def plans_file(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


@pytest.fixture
async def client(
    database_url: str, clock: Clock, plans_file: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    # The service's own tasks would announce what a test means to.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock, plans_file=plans_file) as client:
        yield client
