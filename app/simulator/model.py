"""What Stripe holds: customers, prices, subscriptions, invoices, checkout sessions. Neutral of API versions.

Times are Unix seconds, amounts minor currency units.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import Literal

DAY = 86_400
INTERVAL_SECONDS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}


@dataclass(frozen=True, slots=True)
class Price:
    """A recurring price."""

    id: str
    unit_amount: int = 1000
    currency: str = "usd"
    interval: Literal["day", "week", "month", "year"] = "month"
    created: int = 1_700_000_000
    active: bool = True
    lookup_key: str | None = None

    @property
    def product(self) -> str:
        return self.id.replace("price", "prod")

    @property
    def seconds(self) -> int:
        return INTERVAL_SECONDS[self.interval]


@dataclass(slots=True)
class Customer:
    id: str
    created: int
    email: str | None
    metadata: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    deleted: bool = False


@dataclass(slots=True)
class Item:
    id: str
    price: Price
    quantity: int
    created: int
    current_period_start: int
    current_period_end: int
    tax_rates: tuple[str, ...] = ()
    """Ids of the tax rates that it has instead of the subscription's own."""


@dataclass(slots=True)
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

    def end_with_period(self, now: int) -> None:
        """Cancel at the period's end, as asked for at `now` (Unix seconds)."""
        self.cancel_at_period_end = True
        self.cancel_at, self.canceled_at = self.period_end, now
        self.cancellation_reason = "cancellation_requested"

    def go_on(self) -> None:
        """Take a planned cancellation back."""
        self.cancel_at_period_end = False
        self.cancel_at = self.canceled_at = self.cancellation_reason = None

    @property
    def period_start(self) -> int:
        return min(item.current_period_start for item in self.items)

    @property
    def period_end(self) -> int:
        return max(item.current_period_end for item in self.items)


@dataclass(slots=True)
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


@dataclass(slots=True)
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


@dataclass(slots=True)
class CheckoutSession:
    """`customer`, `subscription` and `invoice` may be None until it is complete; afterwards they are not."""

    id: str
    created: int
    customer: str | None
    subscription: str | None
    invoice: str | None
    client_reference_id: str | None
    metadata: dict[str, str] = field(default_factory=dict)
    amount_total: int | None = None
    currency: str = "usd"
    status: Literal["open", "complete", "expired"] = "complete"
    success_url: str = "https://app.example/welcome"
    cancel_url: str | None = None
    url: str | None = None
    customer_email: str | None = None
    line_items: list[tuple[Price, int]] = field(default_factory=list)
    trial_days: int = 0
    subscription_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def expires_at(self) -> int:
        return self.created + DAY

    @property
    def payment_status(self) -> str:
        if self.status != "complete":
            return "unpaid"
        return "no_payment_required" if self.trial_days else "paid"


@dataclass(slots=True)
class WebhookEndpoint:
    """Where events are sent; `api_version` None: the account's own."""

    id: str
    created: int
    url: str
    enabled_events: list[str]
    secret: str
    api_version: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class EventDestination:
    """Where events are sent, by API v2. Of `config` is what its `type` needs; of a webhook it is the URL.

    `created` and `updated` in Unix seconds. `api_version` only for the payload `snapshot`.
    """

    id: str
    created: int
    name: str
    type: Literal["amazon_eventbridge", "azure_event_grid", "webhook_endpoint"]
    payload: Literal["snapshot", "thin"]
    enabled_events: list[str]
    events_from: list[str]
    config: dict[str, str]
    secret: str
    description: str = ""
    api_version: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    metadata: dict[str, str] = field(default_factory=dict)
    updated: int = 0


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


@dataclass(frozen=True, slots=True)
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
