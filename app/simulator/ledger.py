"""The objects of an account, and the life of an invoice."""

from collections.abc import Iterable

from .cards import charge_code
from .ids import derived_id
from .model import (
    DAY,
    Charge,
    CheckoutSession,
    Customer,
    Discount,
    Dispute,
    EventDestination,
    Invoice,
    Line,
    Price,
    Record,
    Subscription,
    WebhookEndpoint,
)
from .payments import charge_of, payment_record
from .products import new_product
from .records import Records

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


class Ledger(Records):
    """What an account holds, by id."""

    def __init__(self, seed: int, start: int, livemode: bool) -> None:
        super().__init__(seed, start, livemode)
        self.prices: dict[str, Price] = dict(PRICES)
        self.customers: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.invoices: dict[str, Invoice] = {}
        self.sessions: dict[str, CheckoutSession] = {}
        self.charges: dict[str, Charge] = {}
        """By the invoice or checkout session that they paid."""
        self.disputes: dict[str, Dispute] = {}
        self.endpoints: dict[str, WebhookEndpoint] = {}
        self.destinations: dict[str, EventDestination] = {}
        self.sends_payments = False
        """Whether the events of invoice payments are sent beside those of their invoices."""

    def _invoice(self, subscription: Subscription, reason: str) -> Invoice:
        """The invoice of the subscription's present period, with the invoice items that waited for it."""
        lines = self._period_lines(subscription) + self._take_invoice_items(
            subscription.customer, subscription.id
        )
        return self._add_invoice(subscription, lines, reason)

    def _add_invoice(self, subscription: Subscription, lines: list[Line], reason: str) -> Invoice:
        invoice = Invoice(self.new_id("in"), subscription.customer, subscription.id, self.now, lines, reason)
        customer = self.customers[subscription.customer]
        inherited = [customer.discount] if customer.discount is not None else []
        self._take_off(invoice, subscription.discounts or inherited)
        for line in lines:
            self._mark_invoiced(line, invoice)
        self.invoices[invoice.id] = invoice
        subscription.latest_invoice = invoice.id
        self._emit("invoice.created", invoice)
        return invoice

    def _period_lines(self, subscription: Subscription) -> list[Line]:
        return [
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

    def _take_off(self, invoice: Invoice, discounts: Iterable[Discount]) -> None:
        """Apply discounts, one after the other; a coupon of duration `once` is used up."""
        left = invoice.subtotal
        for discount in discounts:
            if discount.applies(self.now) and left > 0:
                amount = discount.amount(left)
                left -= amount
                invoice.discounts.append((discount.id, amount))
                discount.used = True

    def count_redemption(self, discount: Discount) -> None:
        """Count a coupon, and its promotion code, that was applied."""
        for kind, id in (("coupon", discount.coupon["id"]), ("promotion_code", discount.promotion_code)):
            record = self.record(kind, id)
            if record is not None:
                record.content["times_redeemed"] += 1

    def pending_items(self, customer: str, subscription: str) -> list[Record]:
        """The invoice items that the next invoice of this subscription ("": of the customer) takes."""
        return [
            item
            for item in self.records.get("invoiceitem", {}).values()
            if item.content["invoice"] is None
            and item.content["customer"] == customer
            and _of_subscription(item) in ("", subscription)
        ]

    def _take_invoice_items(self, customer: str, subscription: str) -> list[Line]:
        return [self.line_of(item) for item in self.pending_items(customer, subscription)]

    def line_of(self, item: Record) -> Line:
        """The line that an invoice item becomes."""
        content, period = item.content, item.content["period"]
        return Line(
            derived_id("il", item.id),
            _of_subscription(item),
            "",
            self._price_of(item),
            content["quantity"],
            period["start"],
            period["end"],
            content["proration"],
            content["amount"],
            content["description"],
            item.id,
        )

    def _price_of(self, item: Record) -> Price:
        details = item.content["pricing"]["price_details"]
        known = self.prices.get(details["price"])
        return known or Price(
            details["price"],
            item.content["amount"] // max(1, item.content["quantity"]),
            item.content["currency"],
            product_id=details["product"],
            recurring=False,
        )

    def _mark_invoiced(self, line: Line, invoice: Invoice) -> None:
        item = self.record("invoiceitem", line.invoice_item)
        if item is not None:
            item.content["invoice"] = invoice.id

    def add_price(self, price: Price) -> Price:
        """Keep a new price, and its product."""
        self.ensure_product(price.product, price.created)
        self.prices[price.id] = price
        self._emit("price.created", price)
        return price

    def change_price_object(self, price: Price) -> Price:
        """Put a price in the place of the one with its id; subscriptions keep the one they have."""
        before = self.prices[price.id]
        self.prices[price.id] = price
        if price != before:
            self._emit("price.updated", price, before)
        return price

    def ensure_product(self, id: str, created: int) -> Record:
        """The product of this id, which a price may name before anybody has described it."""
        known = self.record("product", id)
        return known or self.add_record(Record(id, created, "product", new_product(id, created)))

    def decline_code(self, customer: str, *payment_methods: str | None) -> str | None:
        """Why a payment is refused now: the first of these payment methods, else the customer's, says it."""
        named = next((id for id in payment_methods if id), self.customers[customer].default_payment_method)
        return charge_code(self.record("payment_method", named))

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
        if self.sends_payments:
            self._emit("invoice_payment.paid", payment_record(invoice))

    def _fail(self, invoice: Invoice, *, retry: bool) -> None:
        invoice.attempt_count += 1
        invoice.next_payment_attempt = self.now + RETRY_SECONDS if retry else None
        self._emit("invoice.payment_failed", invoice)
        if self.sends_payments:
            self._emit("invoice_payment.failed", payment_record(invoice))

    def _void(self, invoice: Invoice) -> None:
        invoice.status, invoice.voided_at = "void", self.now
        invoice.next_payment_attempt = None
        self._emit("invoice.voided", invoice)

    def charge(self, invoice: Invoice) -> Charge:
        """The charge that paid an invoice."""
        if invoice.id not in self.charges:
            self.charges[invoice.id] = charge_of(invoice, self.now)
        return self.charges[invoice.id]

    def _set_status(
        self, subscription: Subscription, status: str, only_from: tuple[str, ...] | None = None
    ) -> None:
        if subscription.status != status and (only_from is None or subscription.status in only_from):
            with self._update("customer.subscription.updated", subscription):
                subscription.status = status


def _of_subscription(item: Record) -> str:
    """The subscription that an invoice item is of; "" where it is the customer's."""
    parent = item.content["parent"]
    return str(parent["subscription_details"]["subscription"]) if parent else ""
