"""Open invoices show what is left to pay; what cannot be collected, and a warning of fraud, is announced."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import permutations
from typing import Any

import pytest

from app.db.models import Invoice
from app.signals import Reaction, reactions
from app.simulator import DAY, NEW, Account, render
from app.simulator import Invoice as SimulatedInvoice
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import START, Clock

pytestmark = pytest.mark.postgresql_in_long

Json = dict[str, Any]


@pytest.fixture
def told() -> Iterator[list[Reaction]]:
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    for signal in reactions.values():
        signal.connect(hear)
    yield heard
    for signal in reactions.values():
        signal.disconnect(hear)


@pytest.fixture
async def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(database_url, clock=Clock()) as client:
        yield client


def event(name: str, content: Json, created: int, id: str = "") -> Json:
    return {
        "id": id or f"evt_{name.replace('.', '_')}_{created}",
        "object": "event",
        "type": name,
        "created": created,
        "livemode": False,
        "data": {"object": content},
    }


async def ada_owes(client: Client) -> tuple[Account, SimulatedInvoice]:
    """An open invoice, whose first attempt has failed."""
    account = Account(1, start=START - 40 * DAY)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    invoice = account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    return account, invoice


async def row_of(client: Client, id: str) -> Invoice:
    async with client.app.state.billing.database.reading() as session:
        row: Invoice | None = await session.get(Invoice, id)
        assert row is not None
        return row


async def test_an_update_says_what_is_left_to_pay_when_and_until_when(client: Client) -> None:
    account, invoice = await ada_owes(client)
    content = render(invoice, NEW)
    later = account.now + 3600
    changed = content | {"amount_remaining": 700, "due_date": later + DAY, "next_payment_attempt": later}
    await client.send(event("invoice.updated", changed, later))
    row = await row_of(client, invoice.id)
    assert (row.status, row.amount_remaining) == ("open", 700)
    assert (row.due_date, row.next_payment_attempt) == (later + DAY, later)
    await client.send(event("invoice.overdue", changed | {"next_payment_attempt": None}, later + DAY))
    assert (await row_of(client, invoice.id)).next_payment_attempt is None


async def test_two_updates_of_one_second_that_differ_have_the_invoice_read_in_every_order(
    client: Client,
) -> None:
    account, invoice = await ada_owes(client)
    content = render(invoice, NEW)
    at = account.now + 60
    for number, order in enumerate(permutations((700, 300, 700))):
        own = content | {"id": f"in_{number}"}
        for n, remaining in enumerate(order):
            told = event("invoice.updated", own | {"amount_remaining": remaining}, at, f"evt_{number}_{n}")
            await client.send(told)
        assert (await row_of(client, f"in_{number}")).needs_refresh
    same = content | {"id": "in_same"}
    for n in range(2):
        await client.send(event("invoice.updated", same, at, f"evt_same_{n}"))
    assert not (await row_of(client, "in_same")).needs_refresh


async def test_a_deleted_draft_is_owed_no_more_however_late_its_creation_comes(client: Client) -> None:
    account, invoice = await ada_owes(client)
    draft = render(invoice, NEW) | {"id": "in_draft", "status": "draft", "attempt_count": 0}
    events = [
        event("invoice.created", draft, account.now + 1),
        event("invoice.deleted", draft | {"deleted": True}, account.now + 2),
    ]
    for order in (events, events[::-1]):
        for each in order:
            await client.send(each)
        assert (await row_of(client, "in_draft")).status == "deleted"


@pytest.mark.parametrize("bare", [False, True], ids=["whole", "bare"])
async def test_what_is_known_of_a_deleted_draft_does_not_depend_on_the_order_of_its_events(
    client: Client, bare: bool
) -> None:
    account, invoice = await ada_owes(client)
    now = account.now
    for number, order in enumerate(permutations(range(3))):
        draft = render(invoice, NEW) | {"id": f"in_{number}", "status": "draft", "attempt_count": 0}
        corrected = draft | {"amount_due": 700}
        gone = {"id": draft["id"], "object": "invoice"} if bare else corrected
        events = [
            event("invoice.created", draft, now + 1, f"evt_{number}_created"),
            event("invoice.updated", corrected, now + 2, f"evt_{number}_updated"),
            event("invoice.deleted", gone | {"deleted": True}, now + 3, f"evt_{number}_deleted"),
        ]
        for place in order:
            await client.send(events[place])
        row = await row_of(client, f"in_{number}")
        known = (
            row.customer_id,
            row.subscription_id,
            row.amount_due,
            row.amount_remaining,
            row.needs_refresh,
        )
        assert known == (invoice.customer, invoice.subscription, 700, 0, False), order
        assert row.status == "deleted"


async def test_a_payment_names_itself_to_its_invoice_and_a_credit_note_has_it_read(client: Client) -> None:
    account, invoice = await ada_owes(client)
    payment = {
        "id": "inpay_1",
        "object": "invoice_payment",
        "invoice": invoice.id,
        "status": "paid",
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    }
    await client.send(event("invoice_payment.paid", payment, account.now + 1))
    row = await row_of(client, invoice.id)
    assert (row.payment_id, row.needs_refresh) == ("pi_1", True)
    note = {"id": "cn_1", "object": "credit_note", "invoice": "in_unknown", "customer": invoice.customer}
    await client.send(event("credit_note.created", note, account.now + 2))
    assert (await row_of(client, "in_unknown")).needs_refresh
    await client.send(event("invoice.updated", render(invoice, NEW) | {"id": "in_unknown"}, account.now + 1))
    row = await row_of(client, "in_unknown")
    assert (row.status, row.needs_refresh) == ("open", True), "the note may be newer than the fetched state"


@pytest.mark.parametrize("name", ["radar.early_fraud_warning.created", "invoice.finalization_failed"])
async def test_what_threatens_a_payment_is_announced_once_with_user_customer_and_subscription(
    client: Client, told: list[Reaction], name: str
) -> None:
    account, invoice = await ada_owes(client)
    paying = {
        "id": "inpay_1",
        "object": "invoice_payment",
        "invoice": invoice.id,
        "payment": {"charge": "ch_1"},
    }
    await client.send(event("invoice_payment.paid", paying, account.now + 1))
    draft = render(invoice, NEW) | {"id": "in_draft", "status": "draft", "attempt_count": 0}
    content = {
        "radar.early_fraud_warning.created": {
            "id": "issfr_1",
            "object": "radar.early_fraud_warning",
            "charge": "ch_1",
            "fraud_type": "misc",
            "actionable": True,
        },
        "invoice.finalization_failed": draft | {"last_finalization_error": {"code": "tax_id_invalid"}},
    }[name]
    for id in ("evt_one", "evt_two"):
        await client.send(event(name, content, account.now + 2, id))
    await asyncio.sleep(0)
    signal = "fraud_warning" if name.startswith("radar") else "invoice_finalization_failed"
    [reaction] = [each for each in told if each.signal == signal]
    named = (reaction.user_id, reaction.customer_id, reaction.subscription_id)
    assert named == ("ada", invoice.customer, invoice.subscription)


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("checkout.session.async_payment_failed", "checkout_payment_failed"),
        ("checkout.session.expired", "checkout_expired"),
    ],
)
async def test_a_checkout_that_came_to_nothing_is_announced(
    client: Client, told: list[Reaction], name: str, signal: str
) -> None:
    account, invoice = await ada_owes(client)
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "customer": invoice.customer,
        "subscription": None,
        "client_reference_id": "ada",
        "amount_total": 2900,
        "currency": "usd",
    }
    await client.send(event(name, session, account.now + 1))
    await asyncio.sleep(0)
    [reaction] = [each for each in told if each.signal == signal]
    assert (reaction.user_id, reaction.facts["session_id"]) == ("ada", "cs_1")


async def test_a_session_that_is_paid_later_says_who_bought(client: Client) -> None:
    account = Account(1, start=START - DAY)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    await client.deliver(*account.events)
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "customer": subscription.customer,
        "subscription": subscription.id,
        "metadata": {"user_id": "bob"},
    }
    await client.send(event("checkout.session.async_payment_succeeded", session, account.now + 1))
    assert (await client.read("/internal/users/bob"))["subscriptions"][0][
        "subscription_id"
    ] == subscription.id
