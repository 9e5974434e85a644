"""An erasure takes exactly what is the person's, and nothing that comes later brings it back."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlmodel import select

from app.db.models import AuditEntry, Customer, Invoice, OutboxEntry, Override, Subscription, WebhookEvent
from app.errors import NotFound
from app.inbox.delivery import receive
from app.operations.erasure import erase_user
from app.operations.export import export_user
from app.service import Service
from app.signals import disconnect_durable, durable, event_signal, payment_failed
from app.simulator import Account
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock
from .conftest import Beside, Start

pytestmark = pytest.mark.postgresql_in_long

MAIL, NAME = "grace@example.org", "Grace-Canary"


def event(number: str, type: str, content: dict[str, Any], at: int = START) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": type,
        "created": at,
        "livemode": False,
        "data": {"object": content},
    }


def customer(id: str = "cus_1", user: str = "grace", **more: Any) -> dict[str, Any]:
    details = {"email": MAIL, "name": NAME, "address": {"line1": NAME}, "description": NAME}
    metadata = {"user_id": user, MAIL: "x", "status": f"{NAME} 1", "customer": NAME, NAME: "y"}
    return {"id": id, "object": "customer", "metadata": metadata} | details | more


def invoice(id: str = "in_1", customer: str = "cus_1", **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "invoice",
        "customer": customer,
        "customer_email": MAIL,
        "status": "open",
        "attempt_count": 1,
        "amount_due": 500,
        "currency": "eur",
        "payment_intent": "pi_1",
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{NAME}",
        "lines": {"data": []},
    } | more


def charge(number: str, customer: str) -> dict[str, Any]:
    return event(
        f"charge_{number}",
        "charge.refunded",
        {"id": f"ch_{number}", "object": "charge", "description": f"{NAME}\\", "customer": customer},
    )


def dispute() -> dict[str, Any]:
    evidence = {"customer_email_address": MAIL, "customer_name": NAME}
    return {
        "id": "du_1",
        "object": "dispute",
        "payment_intent": "pi_1",
        "evidence": evidence,
        "status": "lost",
    }


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def all_text(client: Client) -> str:
    """All that the tables hold of people, as text."""
    found: list[Any] = []
    async with service_of(client).database.reading() as session:
        for model in (Customer, Subscription, Invoice, Override, WebhookEvent, OutboxEntry, AuditEntry):
            found += [row.model_dump() for row in await session.exec(select(model))]
    return str(found)


async def erase(client: Client, user_id: str = "grace") -> dict[str, int]:
    return await erase_user(service_of(client).database, user_id, actor="shell:test", at=START)


def assert_forgotten(text: str) -> None:
    assert [found for found in (MAIL, NAME) if found in text] == []


async def test_ids_are_compared_exactly_and_other_peoples_events_stay(database_url: str) -> None:
    others = ("cusX1", "CUS_1", "cus-1", "cus_11", "acus_1")
    async with running(database_url) as client:
        await client.send(event("1", "customer.created", customer()))
        for number, other in enumerate(others):
            await client.send(charge(f"{number}", other))
        await client.send(charge("own", "cus_1"))
        erased = await erase(client)
        assert erased["events"] == 2
        assert (await all_text(client)).count(NAME) == len(others)


async def test_texts_of_every_kind_of_row_are_erased(database_url: str) -> None:
    async def told(reaction: Any) -> None:
        raise RuntimeError(f"refused by {MAIL}")

    durable(payment_failed, told, name="forgetting")
    try:
        async with running(database_url) as client:
            await client.send(event("1", "customer.created", customer()))
            await client.send(event("2", "invoice.payment_failed", invoice()))
            await client.send(event("3", "charge.dispute.closed", dispute()))
            path = "/internal/users/grace/overrides/projects"
            change = {"op": "add", "value": 2, "reason": f"promised to {NAME}", "actor": MAIL}
            assert (await client.http.put(path, json=change, headers=AUTH)).status_code == 200
            before = await all_text(client)
            assert before.count(NAME) > 8
            await erase(client)
            assert_forgotten(await all_text(client))
            assert (await client.read("/internal/customers/cus_1"))["user_id"] == "grace"
    finally:
        disconnect_durable(payment_failed, "forgetting")


async def test_later_events_do_not_bring_an_erased_person_back(database_url: str) -> None:
    async with running(database_url) as client:
        await client.send(event("1", "customer.created", customer()))
        await client.send(event("2", "invoice.payment_failed", invoice()))
        await erase(client)
        await client.send(event("3", "customer.updated", customer(), START + 60))
        await client.send(event("4", "invoice.payment_failed", invoice(attempt_count=2), START + 60))
        await client.send(event("5", "payment_method.attached", invoice(object="payment_method")))
        await client.send(event("6", "charge.dispute.closed", dispute()))
        await client.send(charge("late", "cus_1"))
        subscription = {
            "id": "sub_new",
            "object": "subscription",
            "customer": "cus_1",
            "status": "active",
            "metadata": {"user_id": "grace", "note": NAME},
            "items": {"data": [{"id": "si_1", "price": {"id": "price_team"}, "quantity": 1}]},
        }
        await client.send(event("7", "customer.subscription.created", subscription))
        assert_forgotten(await all_text(client))
        stored = await client.read("/internal/subscriptions/sub_new")
        assert (stored["user_id"], stored["status"], stored["plan_id"]) == ("grace", "active", "price_team")


async def test_an_event_from_the_spool_does_not_bring_an_erased_person_back(any_database_url: str) -> None:
    async with running(any_database_url) as client:
        await client.send(event("1", "customer.created", customer()))
        await erase(client)
        body = orjson.dumps(event("2", "customer.updated", customer(), START + 60))
        await service_of(client).inbox.accept(receive(body, signature="t=1,v1=0", received_at=START))
        assert_forgotten(await all_text(client))


@pytest.fixture
def idle_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(_: object) -> None: ...

    monkeypatch.setattr(Worker, "run", idle)


@pytest.mark.usefixtures("idle_worker")
@pytest.mark.parametrize("works", [True, False])
async def test_an_erasure_beside_a_retry_holds(database_url: str, works: bool) -> None:
    clock = Clock()

    def broken(event: Any, unit_of_work: Any) -> None:
        raise ValueError("not today")

    async with running(database_url, clock=clock) as client:
        service = service_of(client)
        await client.send(event("1", "customer.created", customer()))
        signal = event_signal("charge.dispute.funds_withdrawn")
        signal.connect(broken)
        try:
            await client.send(event("2", "invoice.payment_failed", invoice()))
            await client.send(event("3", "charge.dispute.funds_withdrawn", dispute()))
            clock.now += 86_400
            taken = await service.worker._take_due()
            assert [each.event.id for each in taken] == ["evt_3"]
            await erase(client)
            if works:
                signal.disconnect(broken)
                signal.connect(reads)
            await service.inbox.accept(taken[0])
        finally:
            signal.disconnect(broken)
            signal.disconnect(reads)
        assert_forgotten(await all_text(client))
        assert (await client.read("/internal/events/evt_3"))["state"] == ("processed" if works else "failed")


def reads(event: Any, unit_of_work: Any) -> None:
    """A receiver that works."""


async def test_a_repair_does_not_bring_an_erased_person_back(database_url: str, beside: Start) -> None:
    account = Account(1, start=START - 3600)
    person = account.create_customer(MAIL, user_id="grace")
    subscription = account.create_subscription(person, "price_team")
    account.set_metadata(subscription, note=NAME)
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        await erase_user(both.service.database, "grace", actor="shell:test", at=account.now)
        await repaired_without_difference(both)
        assert_forgotten(await all_text(both.client))


async def repaired_without_difference(both: Beside) -> None:
    assert both.service.reconcile is not None
    report = await both.service.reconcile.run(repair=True)
    assert report is not None
    assert report.differences == []


@pytest.mark.long
async def test_a_user_with_a_thousand_customers_is_erased(database_url: str) -> None:
    many = 1100
    async with running(database_url) as client:
        inbox = service_of(client).inbox
        bodies = [
            orjson.dumps(event(f"{n}", "customer.created", customer(f"cus_{n}", "grace")))
            for n in range(many)
        ]
        await asyncio.gather(
            *(inbox.accept(receive(body, signature=None, received_at=START)) for body in bodies)
        )
        erased = await erase(client)
        assert (erased["customers"], erased["events"]) == (many, many)
        assert_forgotten(await all_text(client))


async def test_an_export_has_everything_that_is_stored_of_a_user_and_of_nobody_else(
    database_url: str,
) -> None:
    async with running(database_url) as client:
        await client.send(event("1", "customer.created", customer()))
        await client.send(event("2", "invoice.payment_failed", invoice()))
        await client.send(event("3", "charge.dispute.closed", dispute()))
        await client.send(charge("1", "cus_1"))
        await client.send(charge("2", "cusX1"))
        await client.send(event("4", "customer.created", customer("cus_2", "henry")))
        path = "/internal/users/grace/overrides/projects"
        await client.http.put(
            path, json={"op": "add", "value": 2, "reason": "asked", "actor": "me"}, headers=AUTH
        )
        exported = await export_user(service_of(client).database, "grace")
        assert [each["id"] for each in exported["customers"]] == ["cus_1"]
        assert [each["id"] for each in exported["invoices"]] == ["in_1"]
        assert [each["reason"] for each in exported["overrides"]] == ["asked"]
        assert [each["id"] for each in exported["events"]] == ["evt_1", "evt_2", "evt_3", "evt_charge_1"]
        assert exported["events"][0]["body"]["data"]["object"]["email"] == MAIL
        assert [each["action"] for each in exported["audit_entries"]] == ["override.set"]
        with pytest.raises(NotFound, match="nobody"):
            await export_user(service_of(client).database, "nobody")
