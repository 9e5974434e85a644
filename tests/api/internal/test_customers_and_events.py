"""Customers, their links, events, filters and cursors of the internal API."""

from typing import Any

import pytest

from app.simulator import Account

from ...client import AUTH, Client, running
from .helpers import ROUTES, START

pytestmark = pytest.mark.postgresql_in_long


async def test_a_customer_has_its_subscriptions_and_invoices(client: Client) -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com", user_id="user_ada")
    subscription = account.create_subscription(customer)
    account.advance(30 * 86_400)
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    stored = await client.read(f"/internal/customers/{customer.id}")
    assert (stored["user_id"], stored["email"], stored["deleted"]) == ("user_ada", "ada@example.com", False)
    assert [entry["access"] for entry in stored["subscriptions"]] == ["grace"]
    assert [(entry["status"], entry["amount_remaining"]) for entry in stored["invoices"]] == [
        ("open", 2900),
        ("paid", 0),
    ]
    user = await client.read("/internal/users/user_ada")
    assert user["subscriptions"] == stored["subscriptions"]
    assert user["invoices"] == stored["invoices"]
    assert user["customers"] == [
        {key: stored[key] for key in ("customer_id", "email", "livemode", "deleted")}
    ]


async def link(client: Client, customer_id: str, user_id: Any) -> Any:
    path = f"/internal/customers/{customer_id}"
    return await client.http.put(path, json={"user_id": user_id}, headers=AUTH)


async def test_a_customer_is_linked_relinked_and_unlinked(client: Client) -> None:
    account = Account(1)
    customer = account.create_customer(user_id="from_metadata")
    await client.deliver(*account.events)
    for user_id in ("user_1", "user_2", None):
        response = await link(client, customer.id, user_id)
        assert (response.status_code, response.json()["user_id"]) == (200, user_id)
    assert (await client.get("/internal/users/user_1")).status_code == 404
    account.update_customer(customer, user_id="newer_metadata")
    await client.deliver(account.events[-1])
    assert (await client.read(f"/internal/customers/{customer.id}"))["user_id"] is None


async def test_linking_an_unknown_customer_is_404_and_a_bad_body_422(client: Client) -> None:
    assert (await link(client, "cus_unknown", "user_1")).status_code == 404
    assert (await link(client, "cus%00", "user_1")).status_code == 404
    for bad in [5, "", "a\u0000", [1]]:
        assert (await link(client, "cus_unknown", bad)).status_code == 422
    empty = await client.http.put("/internal/customers/cus_unknown", json={}, headers=AUTH)
    assert empty.status_code == 422
    assert (await client.read("/internal/events"))["data"] == []


async def test_unlinked_customers_with_a_subscription_are_listed_page_by_page(client: Client) -> None:
    account = Account(1)
    unlinked = [account.create_customer() for _ in range(5)]
    for customer in unlinked:
        account.create_subscription(customer)
    account.create_customer()  # has no subscription
    linked = account.create_customer(user_id="user_1")
    account.create_subscription(linked)
    gone = account.create_customer()
    account.create_subscription(gone)
    account.delete_customer(gone)
    await client.deliver(*account.events)

    async def ids(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = await client.read("/internal/customers", limit=2, **params)
            assert len(page["data"]) <= 2
            found += [entry["customer_id"] for entry in page["data"]]
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]

    assert await ids(linked=False) == sorted(customer.id for customer in unlinked)
    assert await ids(linked=True) == [linked.id]
    assert await ids() == sorted(account.customers)


async def test_events_are_listed_newest_first_with_filters_and_cursor(database_url: str) -> None:
    time = START
    async with running(database_url, clock=lambda: time) as client:
        account = Account(1)
        subscription = account.create_subscription(account.create_customer())
        for event in account.events:
            time += 1
            await client.deliver(event)
        newest_first = [event.id for event in reversed(account.events)]
        first = await client.read("/internal/events", limit=4)
        rest = await client.read("/internal/events", limit=100, cursor=first["next_cursor"])
        assert [event["event_id"] for event in first["data"] + rest["data"]] == newest_first
        assert rest["next_cursor"] is None
        ignored = (await client.read("/internal/events", state="ignored"))["data"]
        assert ignored == []
        failed = (await client.read("/internal/events", state="processed", limit=100))["data"]
        assert [event["event_id"] for event in failed] == newest_first
        of_object = (await client.read("/internal/events", object_id=subscription.id))["data"]
        assert {event["object_id"] for event in of_object} == {subscription.id}
        of_type = (await client.read("/internal/events", type="invoice.paid"))["data"]
        assert len(of_type) == 1
        one = await client.read(f"/internal/events/{newest_first[0]}")
        assert one == first["data"][0]
        assert "body" not in one


@pytest.mark.parametrize("cursor", ["x", "!!!", "W10", "WzFd", "bnVsbA", "WyJhXHUwMDAwIl0"])
async def test_a_cursor_that_is_not_ours_is_422(client: Client, cursor: str) -> None:
    for path in ("/internal/events", "/internal/customers"):
        response = await client.get(path, cursor=cursor)
        assert response.status_code in (200, 422)
        if path == "/internal/events":
            assert response.status_code == 422


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"state": "odd"}, {"type": ""}]
)
async def test_a_bad_filter_is_422(client: Client, params: dict[str, Any]) -> None:
    assert (await client.get("/internal/events", **params)).status_code == 422


@pytest.mark.parametrize("kind", ["subscriptions", "customers", "users", "events"])
@pytest.mark.parametrize("id", ["unknown", "%00", "a%0Ab", "x" * 300, "%F0%9F%92%A9"])
@pytest.mark.rest_in_long(8)
async def test_an_unknown_id_is_404(client: Client, kind: str, id: str) -> None:
    response = await client.get(f"/internal/{kind}/{id}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", ROUTES[0][1]), ("POST", ROUTES[1][1]), ("DELETE", ROUTES[3][1])]
)
async def test_a_wrong_method_is_405(client: Client, method: str, path: str) -> None:
    response = await client.http.request(method, path, headers=AUTH)
    assert (response.status_code, response.headers["content-type"]) == (405, "application/problem+json")
