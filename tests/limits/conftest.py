"""A service with a catalogue and a clock, for all tests of limits."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..client import Client, running
from .helpers import PLANS, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plans_file(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


@pytest.fixture
async def client(database_url: str, clock: Clock, plans_file: Path) -> AsyncIterator[Client]:
    async with running(database_url, clock=clock, plans_file=plans_file) as client:
        yield client
