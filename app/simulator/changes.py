"""Changes of a subscription's items, with what they charge, and payments that a card refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .invoice_items import invoice_item
from .ledger import Ledger
from .model import Invoice, Item, Line, Subscription
from .prorations import prorated, restarted

Proration = Literal["none", "create_prorations", "always_invoice"]
PENDING_SECONDS = 23 * 3600
"""How long a change waits for its payment ("Pending updates")."""


class CardDeclined(Exception):
    """A payment was refused; `code` is Stripe's decline code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"The card was declined: {code}.")
        self.code = code


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that holds once its invoice is paid."""

    subscription: str
    items: list[Item]


class Changes(Ledger):
    """What an account does when items change, and when an invoice is to be paid."""

    def __init__(self, seed: int, start: int, livemode: bool) -> None:
        super().__init__(seed, start, livemode)
        self.waiting: dict[str, Waiting] = {}
        """By invoice."""

    def change_items(
        self,
        subscription: Subscription,
        items: Sequence[Item],
        *,
        proration: Proration = "create_prorations",
        payment_behavior: str = "allow_incomplete",
        at: int | None = None,
    ) -> None:
        """Put items in the place of the subscription's, and charge what that costs as Stripe would.

        `at`: the moment to prorate at, in Unix seconds; None: now.

        Raises:
            CardDeclined: with `error_if_incomplete`, where the card is refused; then nothing is changed.
        """
        if not self.charges_now(subscription, items, proration):
            with self._update("customer.subscription.updated", subscription):
                self.apply_items(subscription, items, proration, at)
            return
        items = restarted(items, subscription.items, self.now)
        lines = self._charged_lines(subscription, items, proration, at)
        refused = self._refused(subscription) if sum(line.amount for line in lines) > 0 else None
        if refused and payment_behavior == "error_if_incomplete":
            raise CardDeclined(refused)
        if refused and payment_behavior == "pending_if_incomplete":
            self._wait_for_payment(subscription, items, lines)
            return
        with self._update("customer.subscription.updated", subscription):
            subscription.items = items
        self._charge_change(subscription, lines)

    def apply_items(
        self,
        subscription: Subscription,
        items: Sequence[Item],
        proration: Proration = "none",
        at: int | None = None,
    ) -> None:
        """Change the items; what that costs waits for the next invoice. It is part of the caller's event."""
        if proration == "create_prorations":
            for line in prorated(subscription, items, at or self.now, self.new_id):
                self.add_record(invoice_item(line, subscription.customer, self))
        subscription.items = list(items)

    def _charged_lines(
        self, subscription: Subscription, items: Sequence[Item], proration: Proration, at: int | None
    ) -> list[Line]:
        lines = prorated(subscription, items, at or self.now, self.new_id)
        return [line for line in lines if not line.proration] if proration == "none" else lines

    def charges_now(self, subscription: Subscription, items: Sequence[Item], proration: Proration) -> bool:
        """Whether this change makes an invoice at once."""
        items = restarted(items, subscription.items, self.now)
        lines = prorated(subscription, items, self.now, lambda prefix: prefix)
        restarts = any(not line.proration for line in lines)
        return restarts or (bool(lines) and proration == "always_invoice")

    def _refused(self, subscription: Subscription) -> str | None:
        return self.decline_code(subscription.customer, subscription.default_payment_method)

    def _charge_change(self, subscription: Subscription, lines: list[Line]) -> None:
        """The invoice of a change that holds whether it is paid or not."""
        with self._update("customer.subscription.updated", subscription):
            waiting = self._take_invoice_items(subscription.customer, subscription.id)
            invoice = self._add_invoice(subscription, lines + waiting, "subscription_update")
        self._finalize(invoice)
        if self._refused(subscription) and invoice.amount_due:
            self._fail(invoice, retry=True)
            self._set_status(subscription, "past_due", only_from=("active", "trialing"))
        else:
            self._pay(invoice)

    def _wait_for_payment(self, subscription: Subscription, items: list[Item], lines: list[Line]) -> None:
        """The card is refused: the change waits, and the subscription stays what it is."""
        with self._update("customer.subscription.updated", subscription):
            invoice = self._add_invoice(subscription, lines, "subscription_update")
            subscription.pending_update = {
                "billing_cycle_anchor": None,
                "expires_at": self.now + PENDING_SECONDS,
                "subscription_items": [
                    {"id": item.id, "price": item.price.id, "quantity": item.quantity} for item in items
                ],
                "trial_end": None,
                "trial_from_plan": None,
            }
        self.waiting[invoice.id] = Waiting(subscription.id, items)
        self._finalize(invoice)
        self._fail(invoice, retry=False)

    # Payments

    def pay_invoice(
        self, invoice: Invoice, payment_method: str | None = None, *, out_of_band: bool = False
    ) -> None:
        """Attempt to pay an invoice now, with this payment method, else the subscription's or the customer's.

        Raises:
            CardDeclined: where the card is refused, after the events of the failed attempt.
        """
        if invoice.status == "draft":
            self._finalize(invoice)
        subscription = self.subscriptions.get(invoice.subscription)
        own = subscription.default_payment_method if subscription is not None else None
        refused = self.decline_code(invoice.customer, payment_method, invoice.default_payment_method, own)
        if refused and not out_of_band and invoice.amount_due:
            self._fail(invoice, retry=invoice.next_payment_attempt is not None)
            raise CardDeclined(refused)
        invoice.paid_out_of_band = out_of_band
        self._pay(invoice)
        if subscription is not None:
            self._paid(subscription, invoice)

    def _paid(self, subscription: Subscription, invoice: Invoice) -> None:
        """What a payment ends: an incomplete sign-up, a past due period, a change that waited."""
        waiting = self.waiting.pop(invoice.id, None)
        if waiting is not None and subscription.pending_update is not None:
            with self._update("customer.subscription.updated", subscription):
                subscription.items, subscription.pending_update = waiting.items, None
            self._emit("customer.subscription.pending_update_applied", subscription)
        elif subscription.latest_invoice == invoice.id:
            self._set_status(subscription, "active", only_from=("incomplete", "past_due", "unpaid"))
