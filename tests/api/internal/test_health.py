"""Health, readiness and the OpenAPI description."""

import pytest

from app import __version__

from ...client import Client, running

pytestmark = pytest.mark.postgresql_in_long


async def test_health_and_readiness_are_open(client: Client) -> None:
    assert (await client.http.get("/healthz")).json() == {"status": "alive", "version": __version__}
    ready = await client.http.get("/readyz")
    assert ready.status_code == 200
    assert "LIVEMODE" in ready.json()["notes"][0]


async def test_readiness_says_nothing_of_livemode_once_it_is_set(sqlite_database: str) -> None:
    async with running(sqlite_database, livemode=True) as client:
        assert (await client.http.get("/readyz")).json() == {"status": "ready", "notes": []}


async def test_a_database_behind_the_code_is_not_ready(empty_postgres_database: str) -> None:
    async with running(empty_postgres_database) as client:
        response = await client.http.get("/readyz")
        assert response.status_code == 503
        assert "app migrate" in response.json()["detail"]


async def test_a_database_that_does_not_answer_is_not_ready() -> None:
    async with running("postgresql://nobody:nothing@127.0.0.1:1/none") as client:
        response = await client.http.get("/readyz")
        assert response.status_code == 503
        assert "DATABASE_URL" in response.json()["detail"]
        assert "nothing" not in response.text


async def test_openapi_describes_every_route_with_its_answers(client: Client) -> None:
    paths = (await client.http.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["summary"], path
            if path.startswith("/internal"):
                assert {"401", "422"} <= operation["responses"].keys(), path
                assert {"200", "201", "204"} & operation["responses"].keys(), path
                assert operation["security"], path
