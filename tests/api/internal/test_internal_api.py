"""The internal API: keys, and updates of subscriptions."""

import itertools
from typing import Any

import pytest

from app.simulator import Account

from ...client import AUTH, KEY, Client, running
from .helpers import ROUTES, START

pytestmark = pytest.mark.postgresql_in_long

UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_710_000_000,
    "expiry_date": 1_712_688_399,
    "status": "active",
}


async def update(client: Client, **changes: Any) -> Any:
    body = {key: value for key, value in (UPDATE | changes).items() if value is not ...}
    return await client.http.post("/internal/subscription/update", json=body, headers=AUTH)


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
@pytest.mark.rest_in_long(12)
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


@pytest.mark.parametrize("orders", [2, pytest.param(6, marks=pytest.mark.long)])
async def test_an_internal_update_overrides_stripe_until_a_newer_snapshot_in_every_order(
    database_url: str, orders: int
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
    assert len(before_it) == 3
    async with running(database_url, clock=lambda: START + 150) as client:
        for order in [before_it[::-1], *itertools.permutations(before_it)][:orders]:
            for count in range(len(order) + 1):
                await client.deliver(*order[:count])
                await update(client, **ids, start_date=START, expiry_date=START + 9, quantity=9)
                await client.deliver(*order[count:])
                stored = await client.read(f"/internal/subscriptions/{subscription.id}")
                assert (stored["plan_id"], stored["quantity"]) == ("price_XXX", 9)
                assert (stored["expiry_date"], stored["needs_refresh"]) == (START + 9, not order)
                if order:
                    assert stored["items"][0]["price_id"] == "price_team"
                async with client.app.state.billing.database.session() as session:
                    for table in ("subscription", "customer", "invoice", "event"):
                        await (await session.connection()).exec_driver_sql(f"DELETE FROM billing_{table}")
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
