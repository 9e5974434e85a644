"""A service with plans and add-ons, for all tests of items."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ...client import Client, running
from .helpers import NOW, PLANS


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=lambda: NOW, plans_file=file) as client:
        yield client
