"""Lists, page by page: nothing twice, nothing missing, and no cursor but our own."""

import base64
import json
from typing import Any

import pytest

from app.simulator import Account
from tests.client import Client, running
from tests.statements import executed

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000


def cursor_of(*key: Any) -> str:
    """A cursor as the lists make it, with any key."""
    # The standard library writes integers of any size, orjson does not.
    text = json.dumps(key, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def pages(client: Client, path: str, key: str, limit: int) -> list[str]:
    """The ids on all pages of a list."""
    found: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = await client.read(path, **params)
        assert len(page["data"]) <= limit
        ids = [entry[key] for entry in page["data"]]
        assert not set(ids) & set(found)
        found += ids
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_events_of_one_second_are_each_on_one_page(database_url: str, limit: int) -> None:
    account = Account(1)
    account.create_subscription(account.create_customer())
    async with running(database_url, clock=lambda: NOW) as client:
        await client.deliver(*account.events)
        newest_first = sorted((sent.id for sent in account.events), reverse=True)
        assert await pages(client, "/internal/events", "event_id", limit) == newest_first


async def test_a_page_that_is_just_full_is_the_last(database_url: str) -> None:
    account = Account(1)
    for _ in range(4):
        account.create_customer()
    async with running(database_url) as client:
        await client.deliver(*account.events)
        page = await client.read("/internal/customers", limit=4)
        assert (len(page["data"]), page["next_cursor"]) == (4, None)
        assert len(await pages(client, "/internal/customers", "customer_id", 2)) == 4


async def test_a_row_that_comes_between_two_pages_moves_nothing(database_url: str) -> None:
    account = Account(1)
    for _ in range(4):
        account.create_customer()
    now = NOW
    async with running(database_url, clock=lambda: now) as client:
        await client.deliver(*account.events)
        first = await client.read("/internal/events", limit=2)
        account.create_customer()
        now += 60
        await client.deliver(account.events[-1])
        second = await client.read("/internal/events", limit=2, cursor=first["next_cursor"])
        ids = [entry["event_id"] for entry in first["data"] + second["data"]]
        assert ids == sorted((sent.id for sent in account.events[:4]), reverse=True)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/internal/events", [2**63, "evt_1"]),
        ("/internal/events", [-(2**63) - 1, "evt_1"]),
        ("/internal/events", [2**64 - 1, "evt_1"]),
        ("/internal/events", [True, "evt_1"]),
        ("/internal/events", [1.5, "evt_1"]),
        ("/internal/events", [NOW, "evt_\x00"]),
        ("/internal/events", [NOW]),
        ("/internal/events", ["cus_1"]),
        ("/internal/customers", ["cus_\x00"]),
        ("/internal/customers", [{}]),
        ("/internal/customers", [NOW, "evt_1"]),
    ],
)
async def test_a_cursor_with_a_key_that_is_none_is_422(database_url: str, path: str, key: list[Any]) -> None:
    """Beyond 64 bits PostgreSQL and SQLite would fail, not find nothing."""
    async with running(database_url) as client:
        response = await client.get(path, cursor=cursor_of(*key))
        assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
        assert "cursor" in response.json()["detail"]


@pytest.mark.parametrize("change", ["{}=", "{}!", "!{}", "{}\n", " {}", "{}é"])
async def test_a_cursor_that_was_tampered_with_is_422(sqlite_database: str, change: str) -> None:
    async with running(sqlite_database) as client:
        good = cursor_of("cus_1")
        assert (await client.get("/internal/customers", cursor=good)).status_code == 200
        response = await client.get("/internal/customers", cursor=change.format(good))
        assert response.status_code == 422


async def queries_of(client: Client, path: str, **params: Any) -> tuple[Any, int]:
    """What a GET answers, and how many statements sessions for reading executed for it."""
    with executed(client.app.state.billing.database.engine) as seen:
        answer = await client.read(path, **params)
    return answer, len([each for each in seen if each[0].get_execution_options().get("reading")])


@pytest.mark.parametrize(
    ("path", "filters"),
    [("customers", {}), ("customers", {"linked": False}), ("events", {}), ("events", {"state": "processed"})],
)
async def test_a_page_takes_as_many_queries_with_many_rows_as_with_one(
    database_url: str, path: str, filters: dict[str, Any]
) -> None:
    account = Account(1)
    for _ in range(10):
        account.create_subscription(account.create_customer())
    async with running(database_url) as client:
        await client.deliver(*account.events)
        counts = []
        for limit in (1, 10):
            page, count = await queries_of(client, f"/internal/{path}", limit=limit, **filters)
            assert len(page["data"]) == limit
            counts.append(count)
        assert counts[0] == counts[1] > 0


async def test_a_user_takes_as_many_queries_with_many_customers_as_with_one(database_url: str) -> None:
    account = Account(1)
    account.create_subscription(account.create_customer(user_id="one"))
    for _ in range(10):
        account.create_subscription(account.create_customer(user_id="many"))
    async with running(database_url) as client:
        await client.deliver(*account.events)
        counts = []
        for user_id, customers in (("one", 1), ("many", 10)):
            user, count = await queries_of(client, f"/internal/users/{user_id}")
            assert len(user["subscriptions"]) == customers
            counts.append(count)
        assert counts[0] == counts[1] > 0
