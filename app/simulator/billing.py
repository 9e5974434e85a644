"""Prices, and what is billed: invoices with their lines, charges, disputes, discounts.

Times are Unix seconds, amounts minor currency units.
"""

from dataclasses import dataclass, field
from typing import Literal

from .shapes import Json

DAY = 86_400
INTERVAL_SECONDS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}


@dataclass(frozen=True, slots=True)
class Price:
    """A price; recurring unless it says otherwise. Without `product_id` its product is named after it."""

    id: str
    unit_amount: int = 1000
    currency: str = "usd"
    interval: Literal["day", "week", "month", "year"] = "month"
    created: int = 1_700_000_000
    active: bool = True
    lookup_key: str | None = None
    product_id: str | None = None
    nickname: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    recurring: bool = True
    interval_count: int = 1
    usage_type: str = "licensed"
    tax_behavior: str = "unspecified"
    trial_period_days: int | None = None
    currency_options: dict[str, int] = field(default_factory=dict)
    """Its amount in other currencies than its own."""

    @property
    def product(self) -> str:
        return self.product_id or self.id.replace("price", "prod")

    def amount_in(self, currency: str) -> int | None:
        """What a unit costs in a currency; None where it is not sold in that."""
        return self.unit_amount if currency == self.currency else self.currency_options.get(currency)

    @property
    def seconds(self) -> int:
        return INTERVAL_SECONDS[self.interval] * self.interval_count


@dataclass(slots=True)
class Discount:
    """A coupon, as it is applied; `coupon` as it was rendered then, `end` None: for ever."""

    id: str
    coupon: Json
    start: int
    end: int | None = None
    promotion_code: str | None = None
    customer: str | None = None
    subscription: str | None = None
    checkout_session: str | None = None
    used: bool = False
    """Whether an invoice had it, after which a coupon of duration `once` does nothing."""

    def amount(self, subtotal: int) -> int:
        """What it takes off, at most everything."""
        percent, fixed = self.coupon["percent_off"], self.coupon["amount_off"]
        off: int = round(subtotal * percent / 100) if percent is not None else fixed
        return max(0, min(subtotal, off))

    def applies(self, now: int) -> bool:
        once = self.coupon["duration"] == "once"
        return not (once and self.used) and (self.end is None or now < self.end)


@dataclass(slots=True)
class Line:
    """A line of an invoice: a period of an item, or a proration or invoice item with its own amount."""

    id: str
    subscription: str
    item: str
    price: Price
    quantity: int
    period_start: int
    period_end: int
    proration: bool = False
    own_amount: int | None = None
    description: str | None = None
    invoice_item: str | None = None

    @property
    def amount(self) -> int:
        return self.price.unit_amount * self.quantity if self.own_amount is None else self.own_amount


@dataclass(slots=True)
class Invoice:
    """An invoice; `subscription` is empty for one that is of none. `discounts` are (id, amount)."""

    id: str
    customer: str
    subscription: str
    created: int
    lines: list[Line]
    billing_reason: str
    status: str = "draft"
    amount_paid: int = 0
    attempt_count: int = 0
    next_payment_attempt: int | None = None
    finalized_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    uncollectible_at: int | None = None
    own_currency: str | None = None
    discounts: list[tuple[str, int]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    due_date: int | None = None
    paid_out_of_band: bool = False
    collection_method: str = "charge_automatically"
    default_payment_method: str | None = None

    @property
    def currency(self) -> str:
        return self.own_currency or self.lines[0].price.currency

    @property
    def subtotal(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        return self.subtotal - sum(amount for _, amount in self.discounts)

    @property
    def amount_due(self) -> int:
        return max(0, self.total)

    @property
    def amount_remaining(self) -> int:
        return self.amount_due - self.amount_paid

    @property
    def hosted_invoice_url(self) -> str | None:
        return None if self.status == "draft" else f"https://invoice.stripe.test/i/{self.id}"

    @property
    def invoice_pdf(self) -> str | None:
        return None if self.status == "draft" else f"https://pay.stripe.test/invoice/{self.id}/pdf"

    @property
    def number(self) -> str | None:
        return None if self.status == "draft" else f"{self.id[-8:].upper()}-0001"


@dataclass
class Charge:
    """What an invoice's payment took. Amounts in minor currency units."""

    id: str
    created: int
    customer: str
    invoice: str
    amount: int
    currency: str
    amount_refunded: int = 0
    disputed: bool = False


@dataclass
class Dispute:
    id: str
    created: int
    charge: str
    amount: int
    currency: str
    status: str = "needs_response"
    payment_intent: str | None = None
