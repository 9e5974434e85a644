"""Requests that get no connection to the database, as all are in use."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.db import base
from app.reactions.outbox import Outbox
from app.sync.backfill import Backfill
from app.worker.worker import Worker

from ..client import running
from ..worker.helpers import service_of

CONNECTIONS = 15
"""How many SQLAlchemy opens at most."""


async def test_a_request_that_gets_no_connection_is_answered_with_503(
    any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in (Worker, Outbox, Backfill):
        monkeypatch.setattr(task, "run", lambda _: asyncio.sleep(0))
    monkeypatch.setattr(base, "POOL_SECONDS", 0.01)
    async with running(any_database_url) as client, AsyncExitStack() as held:
        for _ in range(CONNECTIONS):
            session = await held.enter_async_context(service_of(client).database.reading())
            await session.connection()
        answer = await client.get("/internal/users/ada/entitlements")
        assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        await held.aclose()
        assert (await client.get("/internal/users/ada/entitlements")).status_code == 200
