"""What the internal API and the readiness answer while the database does not."""

import asyncio

import pytest
import structlog

from app.db.migrations import migrate
from tests.client import AUTH, running
from tests.databases import run_sql
from tests.waiting import LONGEST_SECONDS

NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/none"
UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_893_456_000,
    "expiry_date": 1_896_134_400,
    "status": "active",
}
ROUTES = [
    ("POST", "/internal/subscription/update", UPDATE),
    ("GET", "/internal/subscriptions/sub_1", None),
    ("GET", "/internal/customers", None),
    ("GET", "/internal/customers/cus_1", None),
    ("PUT", "/internal/customers/cus_1", {"user_id": None}),
    ("GET", "/internal/users/user_1", None),
    ("GET", "/internal/events", None),
    ("GET", "/internal/events/evt_1", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_a_database_that_is_down_is_503_with_retry_after(
    method: str, path: str, body: dict[str, object] | None
) -> None:
    async with running(NOWHERE) as client:
        response = await client.http.request(method, path, json=body, headers=AUTH)
        assert response.status_code == 503, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) > 0
        assert "nothing" not in response.text


async def test_the_key_is_asked_for_while_the_database_is_down() -> None:
    async with running(NOWHERE) as client:
        assert (await client.http.get("/internal/events")).status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), [*ROUTES, ("GET", "/internal/checks", None)])
@pytest.mark.rest_in_long(4)
async def test_a_forgotten_migration_is_503_and_named(
    method: str, path: str, body: dict[str, object] | None, empty_postgres_database: str
) -> None:
    async with running(empty_postgres_database) as client:
        response = await client.http.request(method, path, json=body, headers=AUTH)
        assert response.status_code == 503, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert "at migration none" in response.json()["detail"]
        assert "python -m app migrate" in response.json()["detail"]


async def test_an_older_schema_is_named_where_a_column_is_missing(empty_postgres_database: str) -> None:
    await asyncio.to_thread(migrate, empty_postgres_database, "0009")
    async with running(empty_postgres_database) as client:
        response = await client.get("/internal/subscriptions/sub_1")
        assert response.status_code == 503, response.text
        assert "at migration 0009" in response.json()["detail"]


async def test_a_database_that_is_down_is_said_by_the_checks() -> None:
    async with running(NOWHERE) as client:
        response = await client.get("/internal/checks")
        assert response.status_code == 503
        assert "refuses connections" in response.json()["detail"]


async def test_the_log_says_at_the_start_why_the_database_takes_nothing() -> None:
    with structlog.testing.capture_logs() as lines:
        async with running(NOWHERE) as client:
            await client.app.state.billing.readiness()
    [line] = [line for line in lines if line["event"] == "readiness_changed"]
    assert (line["log_level"], "refuses connections" in line["database"]) == ("warning", True)
    assert "nothing" not in str(line)


async def test_connections_that_were_cut_are_replaced_unnoticed(postgres_database: str) -> None:
    async with running(postgres_database) as client:
        assert (await client.get("/internal/events")).status_code == 200
        await run_sql(
            postgres_database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert (await client.get("/internal/events")).status_code == 200


async def test_an_error_that_is_not_the_databases_stays_a_500(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(row: object) -> None:
        raise LookupError("a slip in the code")

    monkeypatch.setattr("app.api.customers.CustomerSummary.of", fail)
    async with running(sqlite_database) as client:
        assert (
            await client.http.post("/internal/subscription/update", json=UPDATE, headers=AUTH)
        ).status_code == 200
        response = await client.get("/internal/customers")
        assert response.status_code == 500
        assert "slip" not in response.text


@pytest.mark.real_time_limits
async def test_readiness_waits_two_seconds_for_a_database_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.service.STOP_SECONDS", 0.1)  # the tasks wait for the database, too

    connections: list[asyncio.Task[None] | None] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(f"postgresql://nobody:nothing@127.0.0.1:{port}/none") as client:
            async with asyncio.timeout(LONGEST_SECONDS):  # the database is silent for longer
                response = await client.http.get("/readyz")
            assert response.status_code == 503
            assert "DATABASE_URL" in response.json()["detail"]
            assert (await client.http.get("/healthz")).status_code == 200
        # The server does not wait for its connections when it is closed.
        await asyncio.gather(*(each for each in connections if each is not None), return_exceptions=True)
