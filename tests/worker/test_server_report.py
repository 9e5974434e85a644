"""A server that lets clients keep connections for ever is noticed on its first request."""

import json
from pathlib import Path

import httpx
import pytest

from app.db import open_database
from app.worker.server_report import server_ends_connections
from tests.client import running
from tests.faults.servers import Server
from tests.waiting import until


async def reported(database_url: str) -> bool:
    database = open_database(database_url)
    seen: list[bool] = []

    async def has_come() -> bool:
        if (ends := await server_ends_connections(database)) is not None:
            seen.append(ends)
        return bool(seen)

    try:
        await until(has_come)
    finally:
        await database.close()
    return seen[0]


@pytest.mark.long
@pytest.mark.parametrize("app", [None, "app.main:app"])
async def test_the_log_and_the_database_tell_whether_the_server_ends_connections(
    database_url: str, tmp_path: Path, app: str | None
) -> None:
    bounded = app is None  # `python -m app serve`
    async with Server(database_url, tmp_path, app=app) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            for _ in range(3):
                assert (await client.get("/healthz")).status_code == 200
                refused = await client.post("/webhook/stripe", content=b"{}")
                assert refused.status_code == 400
                assert refused.headers["content-type"] == "application/problem+json"
        assert await reported(database_url) is bounded
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    warned = [line for line in lines if line.get("event") == "connections_without_deadlines"]
    assert len(warned) == (0 if bounded else 1)
    assert all("app serve" in line["remedy"] for line in warned)


async def test_a_test_client_has_no_connections_to_warn_of(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        await client.http.get("/healthz")
        assert await server_ends_connections(client.app.state.billing.database) is None
