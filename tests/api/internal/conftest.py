"""A service for the tests of the internal API."""

from collections.abc import AsyncIterator

import pytest

from ...client import Client, running


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url) as client:
        yield client
