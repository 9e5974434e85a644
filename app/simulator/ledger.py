"""The clock, the objects and the events of an account, and the life of an invoice."""

import random
import string
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from .model import (
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Entity,
    Event,
    EventDestination,
    Invoice,
    Line,
    Price,
    Subscription,
    WebhookEndpoint,
    frozen,
)
from .thin import ThinEvent, thin_events, thin_id

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


class Ledger:
    """What an account holds, by id, and `events`: all that Stripe would send, in true order."""

    def __init__(self, seed: int, start: int, livemode: bool) -> None:
        self.now = start
        self.livemode = livemode
        self.prices: dict[str, Price] = dict(PRICES)
        self.customers: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.invoices: dict[str, Invoice] = {}
        self.sessions: dict[str, CheckoutSession] = {}
        self.charges: dict[str, Charge] = {}
        """By the invoice that they paid."""
        self.disputes: dict[str, Dispute] = {}
        self.endpoints: dict[str, WebhookEndpoint] = {}
        self.destinations: dict[str, EventDestination] = {}
        self.pings: list[ThinEvent] = []
        self.events: list[Event] = []
        self.undelivered: set[str] = set()
        self._random = random.Random(seed)
        self.id = f"acct_1{random.Random(f'account {seed}').getrandbits(64):020d}"[:21]
        """The account's own id, which `context` and `account` of an event name."""

    def new_id(self, prefix: str) -> str:
        """An id as Stripe makes them: its order says nothing about time."""
        return f"{prefix}_1{''.join(self._random.choices(ALPHABET, k=23))}"

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    def send_twice(self, event: Event | None = None) -> Event:
        """Send a change (the latest, where none is named) once more, as an event object of its own."""
        original = self.events[-1] if event is None else event
        copy = original.again(self.new_id("evt"))
        self.events.insert(self.events.index(original) + 1, copy)
        return copy

    def mark_undelivered(self, ids: Iterable[str]) -> None:
        """Events, by id, whose webhooks have failed: Stripe lists them with `delivery_success=false`."""
        self.undelivered.update(ids)

    def mark_delivered(self, ids: Iterable[str]) -> None:
        self.undelivered.difference_update(ids)

    def thin_events(self) -> list[ThinEvent]:
        """All thin events in the order in which they happened: of every change, and of every ping."""
        made = [thin for event in self.events for thin in thin_events(event, livemode=self.livemode)]
        return sorted([*made, *self.pings], key=lambda event: event.created) if self.pings else made

    def ping(self, destination: EventDestination) -> ThinEvent:
        """What Stripe sends to a destination that is tried out."""
        name = "v2.core.event_destination.ping"
        id = thin_id(self.new_id("ping"), name, livemode=self.livemode)
        self.pings.append(ThinEvent(id, name, self.now, destination))
        return self.pings[-1]

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

    def _charge(self, invoice: Invoice) -> Charge:
        if invoice.id not in self.charges:
            self.charges[invoice.id] = Charge(
                self.new_id("ch"),
                invoice.paid_at or self.now,
                invoice.customer,
                invoice.id,
                invoice.amount_paid,
                invoice.currency,
            )
        return self.charges[invoice.id]

    # Events

    def _set_status(
        self, subscription: Subscription, status: str, only_from: tuple[str, ...] | None = None
    ) -> None:
        if subscription.status != status and (only_from is None or subscription.status in only_from):
            with self._update("customer.subscription.updated", subscription):
                subscription.status = status

    def editing(self, entity: Customer | Subscription) -> AbstractContextManager[None]:
        """Send the object's `….updated` for what the block changes; nothing if it changes nothing."""
        kind = "customer" if isinstance(entity, Customer) else "customer.subscription"
        return self._update(f"{kind}.updated", entity)

    @contextmanager
    def _update(self, event_type: str, entity: Entity) -> Iterator[None]:
        """Emit an event with what the block changed; none if it changed nothing, as Stripe does."""
        before = frozen(entity)
        yield
        if entity != before:
            self._emit(event_type, entity, before)

    def _emit(self, event_type: str, entity: Entity, before: Entity | None = None) -> None:
        self.events.append(Event(self.new_id("evt"), event_type, self.now, frozen(entity), before))
