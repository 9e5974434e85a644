"""A service for all tests of ownership."""

from collections.abc import AsyncIterator

import pytest

from ...client import Client, running
from ..stories import DAY, T


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: T + 5 * DAY) as client:
        yield client
