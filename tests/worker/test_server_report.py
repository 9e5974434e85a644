"""A server that lets clients keep connections for ever is noticed on its first request."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from app.db import open_database
from app.worker.server_report import server_ends_connections
from tests.client import running
from tests.faults.servers import Server


async def reported(database_url: str) -> bool:
    database = open_database(database_url)
    try:
        async with asyncio.timeout(20):
            while (ends := await server_ends_connections(database)) is None:  # noqa: ASYNC110 # a task does it
                await asyncio.sleep(0.05)
    finally:
        await database.close()
    return ends


@pytest.mark.parametrize("app", [None, "app.main:app"])
async def test_the_log_and_the_database_tell_whether_the_server_ends_connections(
    database_url: str, tmp_path: Path, app: str | None
) -> None:
    bounded = app is None  # `python -m app serve`
    async with Server(database_url, tmp_path, app=app) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            for _ in range(3):
                assert (await client.get("/healthz")).status_code == 200
        assert await reported(database_url) is bounded
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    warned = [line for line in lines if line.get("event") == "connections_without_deadlines"]
    assert len(warned) == (0 if bounded else 1)
    assert all("app serve" in line["remedy"] for line in warned)


async def test_a_test_client_has_no_connections_to_warn_of(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        await client.http.get("/healthz")
        assert await server_ends_connections(client.app.state.billing.database) is None
