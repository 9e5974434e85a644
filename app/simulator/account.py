"""An account at Stripe with a clock of its own: what is done to it, and the events that Stripe would send."""

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager

from .model import CheckoutSession, Customer, Entity, Event, Invoice, Item, Line, Price, Subscription, frozen

ALPHABET = string.ascii_letters + string.digits
DAY = 86_400
RETRY_SECONDS = 3 * DAY

PRICES = {
    price.id: price
    for price in (
        Price("price_starter", 900),
        Price("price_team", 2900),
        Price("price_team_yearly", 29_000, interval="year"),
        Price("price_more_projects", 500),
    )
}


class Account:
    """A Stripe account. The same seed and calls give the same objects and events, to the byte.

    `now` is the account's clock, in Unix seconds; it moves only by `advance`. `events` holds all that Stripe
    would send, in the order in which it happened.
    """

    def __init__(self, seed: int = 1, start: int = 1_893_456_000, livemode: bool = False) -> None:
        self.now = start
        self.livemode = livemode
        self.customers: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.invoices: dict[str, Invoice] = {}
        self.sessions: dict[str, CheckoutSession] = {}
        self.events: list[Event] = []
        self._random = random.Random(seed)

    def new_id(self, prefix: str) -> str:
        """An id as Stripe makes them: its order says nothing about time."""
        return f"{prefix}_1{''.join(self._random.choices(ALPHABET, k=23))}"

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    # Customers

    def create_customer(self, email: str | None = None, **metadata: str) -> Customer:
        customer = Customer(self.new_id("cus"), self.now, email, dict(metadata))
        self.customers[customer.id] = customer
        self._emit("customer.created", customer)
        return customer

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
        price: str = "price_team",
        *,
        quantity: int = 1,
        trial_days: int = 0,
        paid: bool | None = True,
        **metadata: str,
    ) -> Subscription:
        """A new subscription: `paid` at once, later (None leaves it incomplete), or with a trial first."""
        start, chosen = self.now, PRICES[price]
        end = start + (trial_days * DAY if trial_days else chosen.seconds)
        item = Item(self.new_id("si"), chosen, quantity, start, start, end)
        status = "trialing" if trial_days else "incomplete"
        subscription = Subscription(
            self.new_id("sub"), customer.id, status, start, start, [item], dict(metadata)
        )
        if trial_days:
            subscription.trial_start, subscription.trial_end = start, end
        self.subscriptions[subscription.id] = subscription
        invoice = None if trial_days else self._invoice(subscription, "subscription_create")
        self._emit("customer.subscription.created", subscription)
        if invoice is not None:
            self._finalize(invoice)
            if paid:
                self.complete_sign_up(subscription)
            elif paid is False:
                self._fail(invoice, retry=False)
        return subscription

    def complete_sign_up(self, subscription: Subscription) -> None:
        """The first payment goes through."""
        self._pay(self._open_invoice(subscription))
        with self._update("customer.subscription.updated", subscription):
            subscription.status = "active"
            subscription.default_payment_method = self.new_id("pm")

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
        )
        self.sessions[session.id] = session
        self._emit("checkout.session.completed", session)
        return session

    def warn_of_trial_end(self, subscription: Subscription) -> None:
        self._emit("customer.subscription.trial_will_end", subscription)

    def renew(self, subscription: Subscription, *, paid: bool = True) -> Invoice:
        """The period rolls on at the clock's time, and its invoice is paid, or fails and will be retried."""
        with self._update("customer.subscription.updated", subscription):
            for item in subscription.items:
                item.current_period_start = self.now
                item.current_period_end = self.now + item.price.seconds
            if subscription.status == "trialing":
                subscription.status = "active"
            invoice = self._invoice(subscription, "subscription_cycle")
        self._finalize(invoice)
        if paid:
            self._pay(invoice)
        else:
            self.fail_payment(invoice)
        return invoice

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
            self.cancel_now(subscription)
        else:
            self._set_status(subscription, status)

    def mark_uncollectible(self, invoice: Invoice) -> None:
        invoice.status, invoice.uncollectible_at = "uncollectible", self.now
        self._emit("invoice.marked_uncollectible", invoice)

    def void(self, invoice: Invoice) -> None:
        self._void(invoice)

    def change_price(self, subscription: Subscription, price: str) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].price = PRICES[price]

    def change_quantity(self, subscription: Subscription, quantity: int) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.items[0].quantity = quantity

    def add_item(self, subscription: Subscription, price: str, quantity: int = 1) -> None:
        first = subscription.items[0]
        start, end = first.current_period_start, first.current_period_end
        item = Item(self.new_id("si"), PRICES[price], quantity, self.now, start, end)
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

    def pause(self, subscription: Subscription) -> None:
        """A trial ends without a payment method."""
        self._set_status(subscription, "paused")
        self._emit("customer.subscription.paused", subscription)

    def resume(self, subscription: Subscription) -> None:
        self._set_status(subscription, "active")
        self._emit("customer.subscription.resumed", subscription)

    def apply_pending_update(self, subscription: Subscription, quantity: int) -> None:
        self.change_quantity(subscription, quantity)
        self._emit("customer.subscription.pending_update_applied", subscription)

    def expire_pending_update(self, subscription: Subscription) -> None:
        self._emit("customer.subscription.pending_update_expired", subscription)

    def cancel_at_period_end(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.cancel_at_period_end = True
            subscription.cancel_at, subscription.canceled_at = subscription.period_end, self.now

    def un_cancel(self, subscription: Subscription) -> None:
        with self._update("customer.subscription.updated", subscription):
            subscription.cancel_at_period_end = False
            subscription.cancel_at = subscription.canceled_at = None

    def cancel_now(self, subscription: Subscription) -> None:
        subscription.status, subscription.ended_at = "canceled", self.now
        subscription.canceled_at = subscription.canceled_at or self.now
        self._emit("customer.subscription.deleted", subscription)

    def send_twice(self) -> None:
        """Send the latest change once more, as an event object of its own."""
        self.events.append(self.events[-1].again(self.new_id("evt")))

    # Invoices

    def _invoice(self, subscription: Subscription, reason: str) -> Invoice:
        lines = [
            Line(
                self.new_id("il"),
                subscription.id,
                item.id,
                item.price,
                item.quantity,
                item.current_period_start,
                item.current_period_end,
            )
            for item in subscription.items
        ]
        invoice = Invoice(self.new_id("in"), subscription.customer, subscription.id, self.now, lines, reason)
        self.invoices[invoice.id] = invoice
        subscription.latest_invoice = invoice.id
        self._emit("invoice.created", invoice)
        return invoice

    def _open_invoice(self, subscription: Subscription) -> Invoice:
        assert subscription.latest_invoice is not None
        return self.invoices[subscription.latest_invoice]

    def _finalize(self, invoice: Invoice) -> None:
        invoice.status, invoice.finalized_at = "open", self.now
        self._emit("invoice.finalized", invoice)

    def _pay(self, invoice: Invoice) -> None:
        invoice.status, invoice.paid_at = "paid", self.now
        invoice.amount_paid, invoice.next_payment_attempt = invoice.amount_due, None
        invoice.attempt_count += 1
        self._emit("invoice.paid", invoice)
        self._emit("invoice.payment_succeeded", invoice)

    def _fail(self, invoice: Invoice, *, retry: bool) -> None:
        invoice.attempt_count += 1
        invoice.next_payment_attempt = self.now + RETRY_SECONDS if retry else None
        self._emit("invoice.payment_failed", invoice)

    def _void(self, invoice: Invoice) -> None:
        invoice.status, invoice.voided_at = "void", self.now
        invoice.next_payment_attempt = None
        self._emit("invoice.voided", invoice)

    # Events

    def _set_status(
        self, subscription: Subscription, status: str, only_from: tuple[str, ...] | None = None
    ) -> None:
        if subscription.status != status and (only_from is None or subscription.status in only_from):
            with self._update("customer.subscription.updated", subscription):
                subscription.status = status

    @contextmanager
    def _update(self, event_type: str, entity: Entity) -> Iterator[None]:
        """Emit an event with what the block changed; none if it changed nothing, as Stripe does."""
        before = frozen(entity)
        yield
        if entity != before:
            self._emit(event_type, entity, before)

    def _emit(self, event_type: str, entity: Entity, before: Entity | None = None) -> None:
        self.events.append(Event(self.new_id("evt"), event_type, self.now, frozen(entity), before))
