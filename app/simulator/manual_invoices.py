"""Invoices that are made by hand, and what may happen to an invoice beside being paid."""

from collections.abc import Iterable
from typing import Any

from .ids import derived_id
from .ledger import Ledger
from .model import Customer, Discount, Invoice, Record, Subscription


class ManualInvoices(Ledger):
    """Drafts, their changes and deletion; invoices that are overdue, upcoming, or cannot be finalized."""

    def draft_invoice(
        self,
        customer: Customer,
        subscription: str = "",
        *,
        with_items: bool = True,
        currency: str = "usd",
        discounts: Iterable[Discount] = (),
    ) -> Invoice:
        """A draft with the invoice items that wait; its `invoice.created` is the caller's to announce."""
        lines = self._take_invoice_items(customer.id, subscription) if with_items else []
        invoice = Invoice(
            self.new_id("in"), customer.id, subscription, self.now, lines, "manual", own_currency=currency
        )
        if lines:
            invoice.own_currency = lines[0].price.currency
        self._take_off(invoice, list(discounts) or ([customer.discount] if customer.discount else []))
        for line in lines:
            self._mark_invoiced(line, invoice)
        self.invoices[invoice.id] = invoice
        return invoice

    def amounts_off(self, invoice: Invoice, discounts: Iterable[Discount]) -> list[tuple[str, int]]:
        """What discounts take off an invoice."""
        self._take_off(invoice, discounts)
        return invoice.discounts

    def change_invoice(self, invoice: Invoice, **changes: Any) -> None:
        """Set members of an invoice; `invoice.updated` only where something changed."""
        with self._update("invoice.updated", invoice):
            for name, value in changes.items():
                setattr(invoice, name, value)

    def delete_invoice(self, invoice: Invoice) -> None:
        """A draft that is thrown away: Stripe has it no more."""
        del self.invoices[invoice.id]
        self._emit("invoice.deleted", invoice)

    def finalize_invoice(self, invoice: Invoice) -> None:
        """Open a draft; one over nothing is paid at once."""
        self._finalize(invoice)
        if invoice.amount_due == 0:
            self._pay(invoice)

    def fail_finalization(self, invoice: Invoice) -> None:
        """A draft that cannot be finalized, for a tax error for one."""
        self._emit("invoice.finalization_failed", invoice)

    def mark_overdue(self, invoice: Invoice) -> None:
        """The due date of an open invoice has passed."""
        self._emit("invoice.overdue", invoice)

    def announce_upcoming(self, subscription: Subscription) -> Invoice:
        """What the next renewal will charge; its id is that of no invoice that can be read."""
        lines = self._period_lines(subscription)
        for line in lines:
            line.period_start, line.period_end = line.period_end, line.period_end + line.price.seconds
        id = derived_id("upcoming_in", f"{subscription.id} {self.now}")
        invoice = Invoice(id, subscription.customer, subscription.id, self.now, lines, "upcoming")
        self._emit("invoice.upcoming", invoice)
        return invoice

    def warn_of_fraud(self, invoice: Invoice) -> Record:
        """The card's issuer thinks that this payment is fraud."""
        charge = self.charge(invoice)
        id = derived_id("issfr", charge.id)
        content = {
            "id": id,
            "object": "radar.early_fraud_warning",
            "actionable": True,
            "charge": charge.id,
            "created": self.now,
            "fraud_type": "made_with_stolen_card",
            "livemode": self.livemode,
            "payment_intent": derived_id("pi", invoice.id),
        }
        record = Record(id, self.now, "radar.early_fraud_warning", content)
        return self.add_record(record, "radar.early_fraud_warning")
