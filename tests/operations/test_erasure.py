"""A person's data goes; what access and bookkeeping rest on stays."""

from typing import Any

import orjson
import pytest
from sqlmodel import select

from app.db.models import AuditEntry, Customer, SeatRequest, Subscription, WebhookEvent
from app.errors import NotFound
from app.operations.erasure import erase_user
from app.simulator import NEW, Account, event_body, play, truth
from app.stripe.reduction import reduced

from ..client import AUTH, Client, running
from ..limits.helpers import START
from ..records import stored

pytestmark = pytest.mark.postgresql_in_long

PERSONAL = ("ada-canary@example.com", "Canary Street", "canary-note", "promised to canary")


async def grow(client: Client) -> Account:
    account = Account(1, start=START - 60)
    for user_id in ("ada", "bob"):
        play(account, "checkout", user_id=user_id)
    customer = next(each for each in account.customers.values() if each.metadata.get("user_id") == "ada")
    account.update_customer(customer, email=PERSONAL[0], note=PERSONAL[2])
    subscription = next(each for each in account.subscriptions.values() if each.customer == customer.id)
    account.set_metadata(subscription, note=PERSONAL[2])
    account.dispute(account.renew(subscription))
    for event in account.events:
        payload = orjson.loads(event_body(event, NEW))
        content = payload["data"]["object"]
        if content["object"] == "customer" and content["id"] == customer.id:
            content["address"] = {"line1": PERSONAL[1]}
        if content["object"] == "charge" or content.get("customer") == customer.id:
            content["billing_details"] = {"email": PERSONAL[0]}
        await client.send(payload)
    await client.http.put(
        "/internal/users/ada/overrides/projects",
        json={"op": "add", "value": 2, "reason": PERSONAL[3], "actor": "support"},
        headers=AUTH,
    )
    async with client.app.state.billing.database.session() as session:
        session.add(
            SeatRequest(
                user_id="ada",
                members=3,
                actor=PERSONAL[0],
                requested_at=START,
                due_at=START,
                last_error=f"No card of {PERSONAL[0]} on file.",
            )
        )
    return account


async def everything(client: Client) -> str:
    """All that the database holds, as text."""
    found: list[Any] = []
    async with client.app.state.billing.database.reading() as session:
        for model in (Customer, Subscription, WebhookEvent, AuditEntry, SeatRequest):
            found += [row.model_dump() for row in await session.exec(select(model))]
    return str(found)


async def test_nothing_of_the_person_is_left_and_the_records_stay(database_url: str) -> None:
    async with running(database_url) as client:
        account = await grow(client)
        database = client.app.state.billing.database
        before = await everything(client)
        assert [text for text in PERSONAL if text not in before] == []
        entitlements = await client.read("/internal/users/ada/entitlements")
        bob = await client.read("/internal/users/bob")

        erased = await erase_user(database, "ada", actor="shell:test", at=START)

        after = await everything(client)
        assert [text for text in PERSONAL if text in after] == []
        assert erased["customers"] == 1
        assert erased["events"] >= 8
        assert await client.read("/internal/users/ada/entitlements") == entitlements
        assert await client.read("/internal/users/bob") == bob
        assert "bob@example.com" in after
        expected = truth(account)
        for customer in expected["customers"].values():
            if customer["user_id"] == "ada":
                customer["email"] = None
                erased_customer = customer["customer_id"]
        for invoice in expected["invoices"].values():
            if account.invoices[invoice["invoice_id"]].customer == erased_customer:
                invoice["hosted_invoice_url"] = None
        assert await stored(database, expected) == expected
        async with database.reading() as session:
            trail = await session.exec(select(AuditEntry).where(AuditEntry.action == "user.erased"))
            assert [(entry.actor, entry.subject) for entry in trail] == [("shell:test", "ada")]


async def test_a_user_of_whom_nothing_is_known_is_an_error(database_url: str) -> None:
    async with running(database_url) as client:
        with pytest.raises(NotFound, match="nobody"):
            await erase_user(client.app.state.billing.database, "nobody", actor="shell:test", at=START)


def test_what_is_left_of_a_body_is_ids_amounts_states_and_times() -> None:
    event = {
        "id": "evt_1",
        "created": 1,
        "data": {
            "object": {
                "id": "sub_1",
                "status": "active",
                "name": "Ada",
                "metadata": {"user_id": "ada", "nick": "Addie"},
                "items": {
                    "data": [{"id": "si_1", "quantity": 3, "price": {"id": "price_1", "nickname": "A"}}]
                },
                "emails": ["ada@example.com"],
            }
        },
    }
    left = orjson.loads(reduced(orjson.dumps(event).decode()))
    assert left["data"]["object"] == {
        "id": "sub_1",
        "status": "active",
        "name": None,
        "metadata": {"user_id": "ada"},
        "items": {"data": [{"id": "si_1", "quantity": 3, "price": {"id": "price_1", "nickname": None}}]},
        "emails": [None],
    }
    assert reduced("not json") == "{}"
