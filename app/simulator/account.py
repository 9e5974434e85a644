"""An account at Stripe with a clock of its own: what is done to it, and the events that Stripe would send."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from .bulk import Bulk
from .ledger import PRICES
from .model import DAY, Charge, CheckoutSession, Customer, Dispute, Invoice, Item, Price, Subscription, frozen
from .one_time import OneTimePurchases
from .payments import payment_intent_id

__all__ = ["DAY", "PRICES", "Account"]


class Account(OneTimePurchases, Bulk):
    """A Stripe account. The same seed and calls give the same objects and events, to the byte.

    `now` is the account's clock, in Unix seconds; it moves only by `advance`. `events` holds all that Stripe
    would send, in the order in which it happened.
    """

    def __init__(
        self,
        seed: int = 1,
        start: int = 1_893_456_000,
        livemode: bool = False,
        *,
        sends_payments: bool = False,
    ) -> None:
        """`sends_payments`: with the events of invoices, those of their payments (`invoice_payment.paid`)."""
        super().__init__(seed, start, livemode)
        self.sends_payments = sends_payments

    def create_price(
        self,
        id: str,
        unit_amount: int,
        *,
        currency: str = "usd",
        interval: Literal["day", "week", "month", "year"] = "month",
    ) -> Price:
        """A recurring price of `unit_amount` minor currency units, beside those of PRICES."""
        return self.add_price(Price(id, unit_amount, currency, interval, created=self.now))

    def update_price(self, id: str, *, active: bool = True, lookup_key: str | None = None) -> Price:
        """Archive a price, or give it another lookup key; subscriptions keep it."""
        return self.change_price_object(replace(self.prices[id], active=active, lookup_key=lookup_key))

    def delete_price(self, id: str) -> None:
        """Delete a price that nobody ever bought; Stripe refuses it for others."""
        self._emit("price.deleted", self.prices.pop(id))

    # Customers

    def create_customer(self, email: str | None = None, **metadata: str) -> Customer:
        return self.add_customer(email, metadata)

    def update_customer(self, customer: Customer, *, email: str | None = None, **metadata: str) -> None:
        with self._update("customer.updated", customer):
            customer.email = email or customer.email
            customer.metadata |= metadata

    def delete_customer(self, customer: Customer) -> None:
        """Stripe cancels the subscriptions of a deleted customer at once."""
        for subscription in list(self.subscriptions.values()):
            if subscription.customer == customer.id and subscription.ended_at is None:
                self.cancel_now(subscription)
        customer.deleted = True
        self._emit("customer.deleted", customer)

    # Subscriptions

    def create_subscription(
        self,
        customer: Customer,
        price: str | Sequence[str] = "price_team",
        *,
        quantity: int = 1,
        trial_days: int = 0,
        paid: bool | None = True,
        **metadata: str,
    ) -> Subscription:
        """A new subscription: `paid` at once, later (None leaves it incomplete), or with a trial first.

        Several prices give an item each, all of the same quantity.
        """
        names = [price] if isinstance(price, str) else price
        items = [(name, quantity) for name in names]
        return self.subscribe(customer, items, metadata, trial_days=trial_days, paid=paid)

    def expire_sign_up(self, subscription: Subscription) -> None:
        """Nobody paid within a day of an incomplete sign-up."""
        self._void(self._open_invoice(subscription))
        with self._update("customer.subscription.updated", subscription):
            subscription.status = "incomplete_expired"
            subscription.ended_at = subscription.canceled_at = self.now

    def complete_checkout(
        self, subscription: Subscription, client_reference_id: str | None, **metadata: str
    ) -> CheckoutSession:
        session = CheckoutSession(
            self.new_id("cs_test"),
            self.now,
            subscription.customer,
            subscription.id,
            subscription.latest_invoice,
            client_reference_id,
            dict(metadata),
            sum(item.price.unit_amount * item.quantity for item in subscription.items),
            subscription.items[0].price.currency,
        )
        self.sessions[session.id] = session
        self._emit("checkout.session.completed", session)
        return session

    def warn_of_trial_end(self, subscription: Subscription) -> None:
        self._emit("customer.subscription.trial_will_end", subscription)

    def end_trial(self, subscription: Subscription) -> None:
        """The trial ends at the clock's time: it is paid, or without a payment method does what its
        `trial_settings` say ("Use trial periods on subscriptions")."""
        if self._has_payment_method(subscription):
            self.renew(subscription)
            return
        settings = subscription.details.get("trial_settings") or {}
        behavior = (settings.get("end_behavior") or {}).get("missing_payment_method")
        if behavior == "cancel":
            self.cancel_now(subscription)
        elif behavior == "pause":
            self.pause(subscription)
        else:
            self.renew(subscription, paid=False)

    def renew(self, subscription: Subscription, *, paid: bool = True) -> Invoice:
        """The period rolls on at the clock's time, and its invoice is paid, or fails and will be retried."""
        with self._update("customer.subscription.updated", subscription):
            if subscription.status == "trialing":
                subscription.status = "active"
            self.begin_due_phase(subscription)
            invoice = self._next_period(subscription, "subscription_cycle")
        self._finalize(invoice)
        if paid:
            self._pay(invoice)
        else:
            self.fail_payment(invoice)
        return invoice

    def _next_period(self, subscription: Subscription, reason: str) -> Invoice:
        for item in subscription.items:
            item.current_period_start = self.now
            item.current_period_end = self.now + item.price.seconds
        return self._invoice(subscription, reason)

    def fail_payment(self, invoice: Invoice, *, action_required: bool = False) -> None:
        """An attempt at an open invoice fails."""
        if action_required:
            self._emit("invoice.payment_action_required", invoice)
        self._fail(invoice, retry=True)
        self._set_status(
            self.subscriptions[invoice.subscription], "past_due", only_from=("active", "trialing")
        )

    def recover(self, invoice: Invoice) -> None:
        """A later attempt goes through."""
        self._pay(invoice)
        self._set_status(self.subscriptions[invoice.subscription], "active", only_from=("past_due", "unpaid"))

    def give_up(self, invoice: Invoice, *, status: str = "unpaid") -> None:
        """All retries failed: the subscription becomes unpaid, or is canceled."""
        self._fail(invoice, retry=False)
        subscription = self.subscriptions[invoice.subscription]
        if status == "canceled":
            self.cancel_now(subscription, reason="payment_failed")
        else:
            self._set_status(subscription, status)

    def mark_uncollectible(self, invoice: Invoice) -> None:
        invoice.status, invoice.uncollectible_at = "uncollectible", self.now
        invoice.next_payment_attempt = None
        self._emit("invoice.marked_uncollectible", invoice)

    def void(self, invoice: Invoice) -> None:
        self._void(invoice)

    def refund(self, invoice: Invoice, amount: int | None = None) -> Charge:
        """Refund a paid invoice's charge, wholly or by `amount` in minor units. Its status stays."""
        charge = self.charge(invoice)
        self.refund_charge(charge, amount)
        return charge

    def dispute(self, invoice: Invoice) -> Dispute:
        """The customer's bank takes a payment back for now."""
        charge = self.charge(invoice)
        charge.disputed = True
        dispute = Dispute(
            self.new_id("dp"),
            self.now,
            charge.id,
            charge.amount,
            charge.currency,
            payment_intent=payment_intent_id(invoice.id),
        )
        self.disputes[dispute.id] = dispute
        self._emit("charge.dispute.created", dispute)
        return dispute

    def close_dispute(self, dispute: Dispute, *, won: bool = True) -> None:
        before = frozen(dispute)
        dispute.status = "won" if won else "lost"
        self._emit("charge.dispute.closed", dispute, before)

    def change_price(self, subscription: Subscription, price: str) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].price = self.prices[price]

    def change_quantity(self, subscription: Subscription, quantity: int) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].quantity = quantity

    def change_tax_rates(self, subscription: Subscription, *tax_rates: str) -> None:
        """Give the first item tax rates of its own, by id."""
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].tax_rates = tax_rates

    def change_payment_method(self, subscription: Subscription, payment_method: str | None) -> None:
        """Charge another payment method from now on; None: the customer's default."""
        with self._update("customer.subscription.updated", subscription):
            subscription.default_payment_method = payment_method

    def add_item(self, subscription: Subscription, price: str, quantity: int = 1) -> None:
        first = subscription.items[0]
        start, end = first.current_period_start, first.current_period_end
        item = Item(self.new_id("si"), self.prices[price], quantity, self.now, start, end)
        with self._update("customer.subscription.updated", subscription):
            subscription.items.append(item)

    def remove_item(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items.pop()

    def set_metadata(self, subscription: Subscription, **metadata: str) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.metadata = dict(metadata)

    def pause_collection(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.pause_collection = {"behavior": "void", "resumes_at": None}

    def resume_collection(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.pause_collection = None

    def pause(self, subscription: Subscription, cause: str = "trial_end_without_payment_method") -> None:
        """A trial ends without a payment method, or whatever `status_details` calls the cause."""
        with self._update("customer.subscription.updated", subscription):
            subscription.status, subscription.paused_at = "paused", self.now
            subscription.pause_cause = cause
        self._emit("customer.subscription.paused", subscription)

    def resume(self, subscription: Subscription) -> None:
        """A paused subscription goes on with a period that starts and is paid now."""
        with self._update("customer.subscription.updated", subscription):
            subscription.status, subscription.paused_at, subscription.pause_cause = "active", None, None
            invoice = self._next_period(subscription, "subscription_update")
        self._finalize(invoice)
        self._pay(invoice)
        self._emit("customer.subscription.resumed", subscription)

    def propose_update(self, subscription: Subscription, quantity: int) -> None:
        """A change that waits for its payment, at most 23 hours."""
        item = {"id": subscription.items[0].id, "quantity": quantity}
        with self._update("customer.subscription.updated", subscription):
            subscription.pending_update = {
                "billing_cycle_anchor": None,
                "expires_at": self.now + 23 * 3600,
                "subscription_items": [item],
                "trial_end": None,
                "trial_from_plan": None,
            }

    def apply_pending_update(self, subscription: Subscription, quantity: int) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].quantity, subscription.pending_update = quantity, None
        self._emit("customer.subscription.pending_update_applied", subscription)

    def expire_pending_update(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.pending_update = None
        self._emit("customer.subscription.pending_update_expired", subscription)

    def cancel_at_period_end(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.end_with_period(self.now)

    def un_cancel(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.go_on()

    def cancel_now(self, subscription: Subscription, *, reason: str = "cancellation_requested") -> None:
        subscription.cancellation_reason = subscription.cancellation_reason or reason
        subscription.status, subscription.ended_at = "canceled", self.now
        subscription.canceled_at = subscription.canceled_at or self.now
        self._emit("customer.subscription.deleted", subscription)
