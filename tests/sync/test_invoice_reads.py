"""Invoices that are read beside events of the same second, twice within one second, or long after."""

import pytest

from app.db.models import Invoice
from app.simulator import DAY, Account, thin_event
from app.simulator import Invoice as SimulatedInvoice

from .conftest import Beside, Start
from .test_catch_up import NOW
from .test_each_way_once import read_all
from .test_thin import subscription_row, thin

pytestmark = pytest.mark.postgresql_in_long

ITEM_ADDED, UPDATED = "v1.invoice.line_item_added", "v1.invoice.updated"


def owed() -> tuple[Account, SimulatedInvoice]:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(60)
    invoice = account.renew(subscription, paid=False)
    account.advance(60)
    return account, invoice


async def read(
    both: Beside, invoice: SimulatedInvoice, event_type: str = ITEM_ADDED, name: str = "a"
) -> None:
    """Read the invoice because of a thin event."""
    related = ("invoice", invoice.id, f"/v1/invoices/{invoice.id}")
    event = thin(event_type, related, created=both.account.now) | {"id": f"evt_test_{name}"}
    assert await both.client.send(event) == "deferred"
    assert await both.refresh() >= 1


async def due_date(both: Beside, invoice: SimulatedInvoice) -> int | None:
    async with both.service.database.reading() as session:
        row = await session.get(Invoice, invoice.id)
        assert row is not None
        return row.due_date


@pytest.mark.parametrize("names", ["ab", "ba"])
@pytest.mark.parametrize("event_type", [ITEM_ADDED, UPDATED])
async def test_the_later_of_two_reads_within_one_second_counts(
    database_url: str, beside: Start, event_type: str, names: str
) -> None:
    account, invoice = owed()
    async with beside(database_url, account) as both:
        for number, name in enumerate(names):
            account.change_invoice(invoice, due_date=account.now + 1000 * (number + 1))
            await read(both, invoice, event_type, name)
        await read_all(both)
        assert await due_date(both, invoice) == invoice.due_date


@pytest.mark.parametrize("order", ["event read", "read event"])
async def test_a_read_counts_beside_an_older_event_of_its_second(
    database_url: str, beside: Start, order: str
) -> None:
    account, invoice = owed()
    account.change_invoice(invoice, due_date=account.now + 1000)
    older = account.events[-1]
    account.change_invoice(invoice, due_date=account.now + 2000)
    async with beside(database_url, account) as both:
        for step in order.split():
            if step == "read":
                await read(both, invoice)
            else:
                await both.client.deliver(older)
        await read_all(both)
        assert await due_date(both, invoice) == invoice.due_date
        asked = both.traffic.by_route["GET /v1/invoices/{id}"]
        await read_all(both)
        assert both.traffic.by_route["GET /v1/invoices/{id}"] == asked, "it is determined now"


async def test_a_failed_attempt_that_is_read_late_says_since_when_an_import_is_past_due(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(60)
    account.renew(subscription, paid=False)
    failed = next(each for each in account.events if each.type == "invoice.payment_failed")
    async with beside(database_url, account) as both:
        await both.client.send(thin_event(failed))
        account.advance(3 * DAY)
        await both.refresh()
        row = await subscription_row(both, subscription.id)
        [invoice] = (row.due_invoices or {}).values()
        assert invoice["failed"] == failed.created


async def test_a_first_payment_failed_when_its_invoice_was_voided_however_late_that_is_read(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(
        account.create_customer(user_id="ada"), "price_team", paid=None
    )
    assert subscription.latest_invoice is not None
    invoice = account.invoices[subscription.latest_invoice]
    account.advance(60)
    account.fail_payment(invoice)
    account.void(invoice)
    voided = next(each for each in account.events if each.type == "invoice.voided")
    async with beside(database_url, account) as both:
        await both.client.send(thin_event(voided))
        account.advance(3 * DAY)
        await both.refresh()
        row = await subscription_row(both, subscription.id)
        assert row.first_payment_failed_at == voided.created
