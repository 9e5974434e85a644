"""The release before kept one claim with a customer, of any object: the users of the others come back."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, update
from sqlmodel import col, select

from app.db.models import Customer, Price, Subscription, table_of
from app.service import Service
from app.simulator import NEW, Account, event_body, random_history
from tests.client import Client, running

from .test_backfill import RULED, columns_of_the_release_before

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000


@pytest.fixture
async def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A service whose backfill begins when a test says so."""
    monkeypatch.setattr("app.sync.backfill.Backfill.run", lambda backfill: asyncio.sleep(0))
    async with running(database_url, clock=lambda: NOW) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def users(client: Client) -> dict[str, str | None]:
    async with service_of(client).database.reading() as session:
        found = [*await session.exec(select(Subscription)), *await session.exec(select(Customer))]
    return {row.id: row.user_id for row in found}


def claims_of_the_release_before(bodies: list[Any]) -> dict[str, dict[str, Any]]:
    """The links of each customer as that release kept them: the newest metadata, the first reference."""
    links: dict[str, dict[str, Any]] = {}
    for event in sorted(bodies, key=lambda each: (each["created"], each["id"])):
        content = event["data"]["object"]
        customer = content["id"] if content["object"] == "customer" else content.get("customer")
        claim = {"created": event["created"], "event_id": event["id"], "object_id": content["id"]}
        if content["object"] not in ("customer", "subscription", "checkout.session") or customer is None:
            continue
        own = links.setdefault(customer, {})
        if user := (content.get("metadata") or {}).get("user_id"):
            own["metadata"] = claim | {"user_id": user}
        if user := content.get("client_reference_id"):
            own.setdefault("checkout", claim | {"user_id": user})
    return links


async def as_the_release_before_wrote_them(client: Client, bodies: list[Any]) -> None:
    before = await asyncio.to_thread(columns_of_the_release_before)
    async with service_of(client).database.session() as session:
        connection = await session.connection()
        for model in RULED:
            table = table_of(model)
            new = [each for each in table.columns if each.name not in before[table.name]]
            unknown = [each.name for each in new if each.nullable]
            await connection.execute(update(table).values(dict.fromkeys(unknown)))
        for customer, links in claims_of_the_release_before(bodies).items():
            source = next((each for each in ("metadata", "checkout") if each in links), None)
            user = links[source]["user_id"] if source else None
            values = {"links": links, "user_id": user, "link_source": source}
            await connection.execute(update(Customer).where(col(Customer.id) == customer).values(**values))
        await connection.execute(delete(table_of(Price)))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.long
async def test_users_come_back_from_the_events_of_every_object(client: Client, seed: int) -> None:
    account = Account(seed, start=NOW - 86_400 * 200)
    random_history(account, random.Random(seed), customers=8, steps=120)
    bodies = [event_body(event, NEW) for event in account.events]
    for body in bodies:
        assert (await client.post_signed(body)).status_code == 200
    expected = await users(client)
    await as_the_release_before_wrote_them(client, [orjson.loads(body) for body in bodies])
    assert await users(client) != expected
    await service_of(client).backfill.reapply_all()
    assert await users(client) == expected


async def test_a_claim_whose_session_is_pruned_stays_with_the_customer(client: Client) -> None:
    account = Account(1, start=NOW - 86_400)
    customer = account.create_customer()
    account.create_subscription(customer, "price_team")
    await client.deliver(*account.events)
    await as_the_release_before_wrote_them(client, [])
    claim = {"user_id": "ada", "created": 1, "event_id": "evt_pruned", "object_id": "cs_pruned"}
    async with service_of(client).database.session() as session:
        row = await session.get(Customer, customer.id)
        assert row is not None
        row.links, row.user_id, row.link_source = {"metadata": claim}, "ada", "metadata"
        session.add(row)
    await service_of(client).backfill.reapply_all()
    assert set((await users(client)).values()) == {"ada"}
