"""What Stripe holds: customers, prices, subscriptions, invoices, checkout sessions. Neutral of API versions.

Times are Unix seconds, amounts minor currency units.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import Literal

DAY = 86_400
INTERVAL_SECONDS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}


@dataclass(frozen=True)
class Price:
    """A recurring price."""

    id: str
    unit_amount: int = 1000
    currency: str = "usd"
    interval: Literal["day", "week", "month", "year"] = "month"
    created: int = 1_700_000_000

    @property
    def product(self) -> str:
        return self.id.replace("price", "prod")

    @property
    def seconds(self) -> int:
        return INTERVAL_SECONDS[self.interval]


@dataclass
class Customer:
    id: str
    created: int
    email: str | None
    metadata: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    deleted: bool = False


@dataclass
class Item:
    id: str
    price: Price
    quantity: int
    created: int
    current_period_start: int
    current_period_end: int


@dataclass
class Subscription:
    id: str
    customer: str
    status: str
    created: int
    start_date: int
    items: list[Item]
    metadata: dict[str, str] = field(default_factory=dict)
    trial_start: int | None = None
    trial_end: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    canceled_at: int | None = None
    ended_at: int | None = None
    cancellation_reason: str | None = None
    pause_collection: dict[str, object] | None = None
    pending_update: dict[str, object] | None = None
    latest_invoice: str | None = None
    default_payment_method: str | None = None

    @property
    def period_start(self) -> int:
        return min(item.current_period_start for item in self.items)

    @property
    def period_end(self) -> int:
        return max(item.current_period_end for item in self.items)


@dataclass
class Line:
    id: str
    subscription: str
    item: str
    price: Price
    quantity: int
    period_start: int
    period_end: int

    @property
    def amount(self) -> int:
        return self.price.unit_amount * self.quantity


@dataclass
class Invoice:
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

    @property
    def currency(self) -> str:
        return self.lines[0].price.currency

    @property
    def amount_due(self) -> int:
        return sum(line.amount for line in self.lines)

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
class CheckoutSession:
    id: str
    created: int
    customer: str
    subscription: str
    invoice: str | None
    client_reference_id: str | None
    metadata: dict[str, str] = field(default_factory=dict)
    amount_total: int | None = None
    currency: str = "usd"


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


Entity = Customer | Subscription | Invoice | CheckoutSession | Price | Charge | Dispute


@dataclass(frozen=True)
class Event:
    """Something that happened: the object as it became, and as it was before where Stripe says so."""

    id: str
    type: str
    created: int
    after: Entity
    before: Entity | None = None

    def again(self, id: str) -> "Event":
        """The same change as a second event object, as Stripe sends now and then."""
        return replace(self, id=id)


def frozen(entity: Entity) -> Entity:
    """The entity as it is now, untouched by what comes."""
    return copy.deepcopy(entity)
