"""A service with a spool and without a worker, for all tests of the spool."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.worker.worker import Worker

from ...client import Client, running


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own worker would drain what a test means to look at."""
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
async def client(database_url: str, folder: Path) -> AsyncIterator[Client]:
    async with running(database_url, spool_dir=folder) as client:
        await client.http.get("/readyz")  # else the file of the trial of the start may lie in the folder
        yield client
