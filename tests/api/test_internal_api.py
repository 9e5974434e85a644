"""The internal API over HTTP: what it takes, what it answers, and that a refusal changes nothing."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app import __version__
from app.simulator import Account

from ..client import AUTH, KEY, Client, running

UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_710_000_000,
    "expiry_date": 1_712_688_399,
    "status": "active",
}
START = 1_893_456_000


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url) as client:
        yield client


async def update(client: Client, **changes: Any) -> Any:
    body = {key: value for key, value in (UPDATE | changes).items() if value is not ...}
    return await client.http.post("/internal/subscription/update", json=body, headers=AUTH)


ROUTES = [
    ("POST", "/internal/subscription/update"),
    ("GET", "/internal/subscriptions/sub_1"),
    ("GET", "/internal/customers"),
    ("GET", "/internal/customers/cus_1"),
    ("PUT", "/internal/customers/cus_1"),
    ("GET", "/internal/users/user_1"),
    ("GET", "/internal/events"),
    ("GET", "/internal/events/evt_1"),
]
WRONG_KEYS: list[dict[str, Any]] = [
    {},
    {"X-API-Key": "wrong"},
    {"X-API-Key": ""},
    {"X-API-Key": b"\xff\xfe"},
    {"X-API-Key": KEY + "x"},
    {"X-API-Key": KEY[:-1]},
    {"Authorization": f"Bearer {KEY}"},
    {"Authorization": "X-API-Key"},
    {"Authorization": KEY},
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_right_key_every_route_is_401(sqlite_database: str, method: str, path: str) -> None:
    async with running(sqlite_database) as client:
        for headers in WRONG_KEYS:
            # A broken body must not be looked at before the key.
            response = await client.http.request(method, path, headers=headers, content=b"{broken")
            assert response.status_code == 401, (headers, response.text)
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["www-authenticate"] == "X-API-Key"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"Authorization": f"X-API-Key {KEY}"},
        {"Authorization": f"X-API-Key: {KEY}"},
        {"Authorization": f"x-api-key {KEY}"},
    ],
)
async def test_the_key_is_taken_in_each_form(client: Client, headers: dict[str, str]) -> None:
    assert (await client.http.get("/internal/events", headers=headers)).status_code == 200


async def test_what_other_clients_already_send_makes_a_subscription(client: Client) -> None:
    response = await update(client)
    assert response.status_code == 200
    stored = response.json()
    assert {key: stored[key] for key in UPDATE} == UPDATE
    # Long past its expiry: by the access policy it grants nothing any more.
    assert (stored["access"], stored["user_id"], stored["items"]) == ("none", None, [])
    assert await client.read("/internal/subscriptions/sub_XXX") == stored
    events = (await client.read("/internal/events", object_id="sub_XXX"))["data"]
    assert [(event["source"], event["state"]) for event in events] == [("internal", "processed")]


async def test_an_update_may_name_the_user_and_the_quantity(database_url: str) -> None:
    term = {"start_date": START, "expiry_date": START + 100 * 86_400}
    async with running(database_url, clock=lambda: START + 86_400) as client:
        stored = (await update(client, user_id="user_1", quantity=7, **term)).json()
        assert (stored["user_id"], stored["quantity"], stored["access"]) == ("user_1", 7, "full")
        again = (await update(client, status="past_due", **term)).json()
        assert (again["user_id"], again["quantity"], again["access"]) == ("user_1", 7, "grace")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expiry_date": 1_700_000_000}, "expiry_date"),
        ({"status": "gone"}, "status"),
        ({"status": None}, "status"),
        ({"colour": "red"}, "colour"),
        ({"customer_id": ...}, "customer_id"),
        ({"customer_id": "c" * 256}, "customer_id"),
        ({"customer_id": ""}, "customer_id"),
        ({"plan_id": " "}, "plan_id"),
        ({"plan_id": "price\u0000"}, "plan_id"),
        ({"subscription_id": "sub\nXXX"}, "subscription_id"),
        ({"subscription_id": 5}, "subscription_id"),
        ({"start_date": "1710000000"}, "start_date"),
        ({"start_date": 17.5}, "start_date"),
        ({"start_date": True}, "start_date"),
        ({"start_date": -1}, "start_date"),
        ({"expiry_date": 10**12}, "expiry_date"),
        ({"expiry_date": 10**400}, "expiry_date"),
        ({"expiry_date": None}, "expiry_date"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 2**63}, "quantity"),
        ({"user_id": "u" * 256}, "user_id"),
    ],
)
async def test_a_bad_body_is_422_naming_the_field_and_changes_nothing(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    response = await update(client, **changes)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert field in response.json()["detail"]
    assert (await client.read("/internal/events"))["data"] == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"status": NaN}', b"[" * 5000]
)
async def test_what_is_no_json_object_is_422(client: Client, body: bytes) -> None:
    headers = AUTH | {"Content-Type": "application/json"}
    response = await client.http.post("/internal/subscription/update", content=body, headers=headers)
    assert response.status_code == 422, response.text


async def test_a_subscription_of_another_customer_is_409_and_unchanged(client: Client) -> None:
    before = (await update(client)).json()
    response = await update(client, customer_id="cus_other", status="unpaid", user_id="user_2")
    assert response.status_code == 409
    assert await client.read("/internal/subscriptions/sub_XXX") == before
    assert (await client.get("/internal/customers/cus_other")).status_code == 404
    assert len((await client.read("/internal/events"))["data"]) == 1


async def test_a_subscription_that_stripe_has_ended_is_409_and_unchanged(client: Client) -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    account.cancel_now(subscription)
    await client.deliver(*account.events)
    ids = {"customer_id": subscription.customer, "subscription_id": subscription.id}
    assert (await update(client, **ids)).status_code == 409
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["access"]) == ("canceled", "none")


async def test_an_internal_update_overrides_stripe_until_a_newer_snapshot_in_every_order(
    database_url: str,
) -> None:
    """Stripe's snapshots from before it do not undo it, whenever they arrive; a later one ends it."""
    account = Account(1, start=START)
    subscription = account.create_subscription(account.create_customer(), "price_team", quantity=2)
    account.advance(100)
    account.change_quantity(subscription, 3)
    account.advance(100)
    account.change_quantity(subscription, 4)
    events = [event for event in account.events if event.type.startswith("customer.subscription")]
    ids = {"customer_id": subscription.customer, "subscription_id": subscription.id}
    before_it, after_it = events[:-1], events[-1]
    for order in itertools.permutations(before_it):
        for count in range(len(order) + 1):
            async with running(database_url, clock=lambda: START + 150) as client:
                await client.deliver(*order[:count])
                await update(client, **ids, start_date=START, expiry_date=START + 9, quantity=9)
                await client.deliver(*order[count:])
                stored = await client.read(f"/internal/subscriptions/{subscription.id}")
                assert (stored["plan_id"], stored["quantity"]) == ("price_XXX", 9)
                assert (stored["expiry_date"], stored["needs_refresh"]) == (START + 9, not order)
                if order:
                    assert stored["items"][0]["price_id"] == "price_team"
            return_to_empty = client.app.state.billing.database
            async with return_to_empty.engine.begin() as connection:
                for table in ("subscription", "customer", "invoice", "event"):
                    await connection.exec_driver_sql(f"DELETE FROM billing_{table}")
            await return_to_empty.engine.dispose()
    async with running(database_url, clock=lambda: START + 150) as client:
        await client.deliver(*before_it)
        await update(client, **ids, start_date=START, expiry_date=START + 9)
        await client.deliver(after_it)
        stored = await client.read(f"/internal/subscriptions/{subscription.id}")
        assert (stored["plan_id"], stored["quantity"]) == ("price_team", 4)


async def test_a_late_cancellation_ends_an_internal_update(database_url: str) -> None:
    account = Account(1, start=START)
    subscription = account.create_subscription(account.create_customer())
    account.advance(10)
    account.cancel_now(subscription)
    async with running(database_url, clock=lambda: START + 500) as client:
        await client.deliver(*account.events[:-1])
        await update(client, customer_id=subscription.customer, subscription_id=subscription.id)
        await client.deliver(account.events[-1])
        stored = await client.read(f"/internal/subscriptions/{subscription.id}")
        assert (stored["status"], stored["access"]) == ("canceled", "none")


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
