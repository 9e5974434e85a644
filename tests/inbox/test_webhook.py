"""Every row of the webhook's table of answers, over HTTP, with really signed bytes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.signals import event_signal
from app.simulator import Account, render_event, sign, thin_event
from app.simulator.render import NEW, OLD

from ..client import SECRET, Client, running
from ..waiting import LONGEST_SECONDS, until

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000


def subscription_event(event_id: str = "evt_1", **content: Any) -> dict[str, Any]:
    """A signed-up subscription's event, its object changed as asked."""
    account = Account(1)
    account.create_subscription(account.create_customer(), "price_team")
    event = next(event for event in account.events if event.type == "customer.subscription.updated")
    payload = render_event(event, NEW)
    payload["id"] = event_id
    payload["data"]["object"] |= {"id": "sub_1", "customer": "cus_1"} | content
    return payload


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url) as client:
        yield client


async def count(client: Client, table: str) -> int:
    async with client.app.state.billing.database.reading() as session:
        counted = await (await session.connection()).execute(text(f"SELECT count(*) FROM {table}"))
        number: int = counted.scalar_one()
        return number


async def test_a_verified_event_is_processed_and_stored_as_it_was_signed(client: Client) -> None:
    body = json.dumps(subscription_event(), indent=2).encode()
    response = await client.post_signed(body)
    assert response.json() == {"received": True, "event_id": "evt_1", "status": "processed"}
    async with client.app.state.billing.database.reading() as session:
        connection = await session.connection()
        row = (await connection.execute(text("SELECT body, signature, attempts FROM billing_event"))).one()
    assert row.body.encode() == body
    assert row.signature.startswith("t=")
    assert row.attempts == 1


async def test_an_event_seen_before_is_a_duplicate_and_nothing_runs_again(client: Client) -> None:
    assert await client.send(subscription_event()) == "processed"
    before = await client.read("/internal/subscriptions/sub_1")
    assert await client.send(subscription_event(status="past_due")) == "duplicate"
    assert await client.read("/internal/subscriptions/sub_1") == before


async def test_fifty_copies_at_once_are_one_row_and_one_effect(client: Client) -> None:
    sent: list[str] = []
    event_signal("customer.subscription.updated").connect(
        count_call := lambda event, **_: sent.append(event.id)
    )
    statuses = await asyncio.gather(*(client.send(subscription_event()) for _ in range(50)))
    assert sorted(statuses) == ["duplicate"] * 49 + ["processed"]
    assert sent == ["evt_1"]
    assert await count(client, "billing_event") == 1
    event_signal("customer.subscription.updated").disconnect(count_call)


async def test_an_event_that_nobody_handles_is_stored_and_ignored(client: Client) -> None:
    payload = subscription_event() | {"type": "charge.succeeded"}
    assert await client.send(payload) == "ignored"
    assert (await client.read("/internal/events/evt_1"))["state"] == "ignored"


async def test_an_unknown_shape_is_stored_and_ignored(client: Client) -> None:
    assert await client.send({"object": "event", "hello": "world"}) == "ignored"
    assert await count(client, "billing_event") == 1


async def test_a_thin_event_waits_for_stripes_api(client: Client) -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    thin = thin_event(account.events[-1])
    assert await client.send(thin) == "deferred"
    stored = await client.read(f"/internal/events/{thin['id']}")
    assert (stored["state"], stored["attempts"], stored["object_id"]) == ("pending", 0, subscription.id)


async def test_a_thin_event_of_no_interest_is_ignored(client: Client) -> None:
    account = Account(1)
    account.create_customer()
    meter = {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"}
    unread = {"type": "v1.billing.meter.no_meter_found", "related_object": meter}
    assert await client.send(thin_event(account.events[-1]) | unread) == "ignored"


@pytest.mark.parametrize(
    ("livemode", "expected"), [(True, "ignored"), (False, "processed"), (None, "processed")]
)
async def test_events_of_the_other_mode_grant_nothing(
    database_url: str, livemode: bool | None, expected: str
) -> None:
    async with running(database_url, livemode=livemode) as client:
        assert await client.send(subscription_event()) == expected
        found = await client.get("/internal/subscriptions/sub_1")
        assert found.status_code == (404 if expected == "ignored" else 200)


async def test_a_connect_event_grants_nothing(client: Client) -> None:
    # Whether the account is ours is not known here: see `test_accounts`.
    assert await client.send(subscription_event() | {"account": "acct_1"}) == "deferred"
    assert (await client.get("/internal/subscriptions/sub_1")).status_code == 404


async def test_a_handler_that_raises_fails_its_event_alone_and_leaves_nothing_half_made(
    client: Client,
) -> None:
    def break_one(event: Any, unit_of_work: Any) -> None:
        if event.id == "evt_30":
            raise ValueError("broken\x00 receiver")

    event_signal("customer.subscription.updated").connect(break_one)
    payloads = [subscription_event(f"evt_{n}", id=f"sub_{n}", customer=f"cus_{n}") for n in range(64)]
    statuses = await asyncio.gather(*(client.send(payload) for payload in payloads))
    event_signal("customer.subscription.updated").disconnect(break_one)
    assert [n for n, status in enumerate(statuses) if status == "deferred"] == [30]
    assert statuses.count("processed") == 63
    assert (await client.get("/internal/subscriptions/sub_30")).status_code == 404
    assert (await client.get("/internal/customers/cus_30")).status_code == 404
    stored = await client.read("/internal/events/evt_30")
    assert (stored["state"], stored["last_error"]) == ("failed", "ValueError: broken receiver")
    assert await count(client, "billing_subscription") == 63


@pytest.mark.parametrize("content", [{"customer": None}, {"status": 5}, {"id": None}])
async def test_an_event_that_is_malformed_inside_is_kept_as_failed(
    client: Client, content: dict[str, Any]
) -> None:
    assert await client.send(subscription_event(**content)) == "deferred"
    stored = await client.read("/internal/events/evt_1")
    assert stored["state"] == "failed"
    assert "usable" in stored["last_error"]


async def test_an_event_without_a_time_is_kept_as_failed(client: Client) -> None:
    assert await client.send(subscription_event() | {"created": "yesterday"}) == "deferred"
    assert (await client.read("/internal/events/evt_1"))["created"] is None


@pytest.mark.parametrize(
    "content",
    [
        {"metadata": {"note": "a\u0000b", "\u0000": "x"}},
        {"metadata": {"note": "x" * 300_000}},
        {"current_period_end": -1, "items": {"data": [{"current_period_end": -5, "price": {"id": "p"}}]}},
        {"items": {"data": [{"price": {"id": "price_1"}}]}},
        {"items": None},
        {"items": {"data": [None, 1, "x", {}]}},
        {"quantity": 2**63, "trial_end": 2**62, "pause_collection": [1]},
        {"status": "a_status_of_tomorrow"},
        {"customer": {"id": "cus_1", "object": "customer", "deleted": True}},
    ],
    ids=[
        "nul",
        "large",
        "negative period",
        "no period",
        "null items",
        "no items",
        "huge",
        "new status",
        "expanded",
    ],
)
async def test_odd_content_is_stored_and_crashes_nothing(client: Client, content: dict[str, Any]) -> None:
    assert await client.send(subscription_event(**content)) == "processed"
    stored = await client.read("/internal/subscriptions/sub_1")
    assert stored["customer_id"] == "cus_1"
    assert stored["access"] == ("none" if "tomorrow" in stored["status"] else "full")


async def test_a_deleted_customers_subscription_grants_nothing(client: Client) -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com")
    subscription = account.create_subscription(customer)
    await client.deliver(*account.events)
    customer.deleted = True
    account._emit("customer.deleted", customer)
    await client.deliver(account.events[-1])
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["access"]) == ("active", "none")


async def test_an_invoice_for_an_unseen_subscription_leaves_a_provisional_record(client: Client) -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    paid = next(event for event in account.events if event.type == "invoice.paid")
    await client.deliver(paid, shape=OLD)
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["access"], stored["needs_refresh"]) == (None, "none", True)
    assert stored["paid_through"] == subscription.period_end
    await client.deliver(account.events[-1])
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["access"], stored["needs_refresh"]) == ("active", "full", False)


@pytest.mark.parametrize("age", [300, -300, 301, -301])
async def test_the_signature_must_be_fresh_by_the_services_clock(database_url: str, age: int) -> None:
    async with running(database_url, clock=lambda: NOW) as client:
        body = json.dumps(subscription_event()).encode()
        headers = {"Stripe-Signature": sign(body, SECRET, NOW - age)}
        response = await client.http.post("/webhook/stripe", content=body, headers=headers)
        assert response.status_code == (200 if abs(age) <= 300 else 400)
        assert await count(client, "billing_event") == (1 if abs(age) <= 300 else 0)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"not json", b"[1]", b'"text"', b"null", b""])
async def test_what_is_no_json_object_is_400_even_when_signed(client: Client, body: bytes) -> None:
    response = await client.post_signed(body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert await count(client, "billing_event") == 0


@pytest.mark.parametrize("header", [None, "", "nonsense", "t=1,v1=abc", f"t={NOW},v0=abc", "t=,v1="])
async def test_a_wrong_signature_is_400_and_stores_nothing(client: Client, header: str | None) -> None:
    headers = {"Stripe-Signature": header} if header is not None else {}
    response = await client.http.post("/webhook/stripe", content=b"{}", headers=headers)
    assert response.status_code == 400
    assert response.json()["status"] == 400
    assert await count(client, "billing_event") == 0


async def test_hostile_header_bytes_and_two_headers_are_400(client: Client) -> None:
    body = json.dumps(subscription_event()).encode()
    right = sign(body, SECRET, 2**31)
    for headers in ([("Stripe-Signature", b"t=1,v1=\xff\xfe")], [("Stripe-Signature", right)] * 2):
        request = client.http.build_request("POST", "/webhook/stripe", content=body, headers=headers)  # type: ignore[arg-type]
        assert (await client.http.send(request)).status_code == 400


async def test_every_secret_counts_while_one_is_rolled(database_url: str) -> None:
    secrets = (SecretStr("whsec_test_secret_new_001"), SecretStr(SECRET))
    async with running(database_url, stripe_webhook_secret=secrets) as client:
        for number, secret in enumerate(("whsec_test_secret_new_001", SECRET)):
            body = json.dumps(subscription_event(f"evt_{number}")).encode()
            assert (await client.post_signed(body, secret=secret)).status_code == 200


async def test_a_body_over_the_limit_is_413_while_reading(client: Client) -> None:
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(1000):
            pulled += 1
            yield b"x" * 65_536

    response = await client.http.post("/webhook/stripe", content=endless())
    assert response.status_code == 413
    assert pulled < 20
    large = await client.http.post("/webhook/stripe", content=b"x" * (1024 * 1024 + 1))
    assert large.status_code == 413
    assert await count(client, "billing_event") == 0


async def test_a_database_that_is_gone_is_503_with_retry_after(client: Client) -> None:
    async with client.app.state.billing.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE billing_event RENAME TO billing_event_gone"))
    response = await client.post_signed(json.dumps(subscription_event()).encode())
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    async with client.app.state.billing.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE billing_event_gone RENAME TO billing_event"))
    assert await client.send(subscription_event()) == "processed"


async def test_a_cancelled_request_leaves_its_event_in(client: Client) -> None:
    task = asyncio.create_task(client.send(subscription_event()))
    inbox = client.app.state.billing.inbox
    async with asyncio.timeout(LONGEST_SECONDS):
        while not inbox._waiting and not task.done():  # noqa: ASYNC110 # nothing announces what waits
            await asyncio.sleep(0)
    task.cancel()

    async def is_stored() -> bool:
        return (await client.get("/internal/events/evt_1")).status_code == 200

    await until(is_stored)
    assert await client.send(subscription_event()) == "duplicate"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_405(client: Client, method: str) -> None:
    response = await client.http.request(method, "/webhook/stripe")
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]


async def test_the_openapi_page_describes_the_webhook(client: Client) -> None:
    schema = (await client.http.get("/openapi.json")).json()
    assert {"200", "400", "413", "503"} <= schema["paths"]["/webhook/stripe"]["post"]["responses"].keys()
