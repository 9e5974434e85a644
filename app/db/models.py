"""The records: what is stored, as SQLModel classes. Times are Unix seconds, amounts minor currency units."""

from typing import Any

from sqlalchemy import BigInteger, Index, Text, false, text
from sqlalchemy.orm import configure_mappers
from sqlmodel import Field

from .grant_models import Grant, Purchase
from .history_models import RecordHistory, StoredCatalogue
from .plan_model import SetAsidePlan
from .price_model import Price, Product
from .rules import RULES_VERSION, RuledRow, follows_rules
from .seat_model import SeatRequest
from .table import IdText, Json, Record, Table, default_row, partial_index, recorded_at_field, table_of
from .usage_models import Override, Usage, UsageKey, UsageOverage, UsagePeriod, User
from .work_models import AuditEntry, EventArrival, Job, OpenedSession

__all__ = [
    "RULES_VERSION",
    "AuditEntry",
    "Customer",
    "EventArrival",
    "EventState",
    "Grant",
    "Invoice",
    "Job",
    "OpenedSession",
    "OutboxEntry",
    "OutboxState",
    "Override",
    "Price",
    "Product",
    "Purchase",
    "Record",
    "RecordHistory",
    "RuledRow",
    "SeatRequest",
    "SetAsidePlan",
    "StoredCatalogue",
    "Subscription",
    "Table",
    "Usage",
    "UsageKey",
    "UsageOverage",
    "UsagePeriod",
    "User",
    "WebhookEvent",
    "default_row",
    "follows_rules",
    "table_of",
]


class Subscription(Record, table=True):
    """A Stripe subscription: the newest snapshot, overridden by an internal update where there is one."""

    __tablename__ = "billing_subscription"
    __table_args__ = (
        partial_index("ix_billing_subscription_needs_refresh", "needs_refresh"),
        partial_index("ix_billing_subscription_past_due", "status = 'past_due'"),
        partial_index("ix_billing_subscription_unpaid", "status = 'unpaid'"),
        partial_index("ix_billing_subscription_first_payment_failed", "first_payment_failed_at IS NOT NULL"),
        partial_index("ix_billing_subscription_activation", "activation IS NOT NULL"),
        partial_index(
            "ix_billing_subscription_unlinked", "user_id IS NULL AND links IS NOT NULL", "customer_id"
        ),
        partial_index("ix_billing_subscription_without_links", "links IS NULL", "customer_id"),
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    customer_id: str | None = Field(default=None, sa_type=IdText, index=True)
    user_id: str | None = Field(default=None, sa_type=IdText, index=True)
    """Its own user, by its claims and its customer's; see `links`."""
    link_source: str | None = Field(default=None, sa_type=Text)
    """Which claim names the user: `internal`, `metadata`, `session`; `customer` or `checkout` for the user
    of the customer, the latter where only a `client_reference_id` names it."""
    links: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What claims the subscription. Null in a row that only an older release has written: its user is the
    customer's."""
    status: str | None = Field(default=None, sa_type=Text)
    """As Stripe spells it; null while the subscription is known from an invoice alone."""
    items: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    item_history: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Which prices its items were seen with, and which items they replaced: see `item_history`."""
    plan_id: str | None = Field(default=None, sa_type=Text)
    quantity: int | None = Field(default=None, sa_type=BigInteger)
    start_date: int | None = Field(default=None, sa_type=BigInteger)
    expiry_date: int | None = Field(default=None, sa_type=BigInteger)
    paid_through: int | None = Field(default=None, sa_type=BigInteger)
    paid_lines: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Until when each item is paid with each price, in Unix seconds: `{item: {price: end}}`."""
    cut_invoices: list[str] | None = Field(default=None, sa_type=Json)
    """Its paid invoices of which Stripe sent no more than the first lines: to be read."""
    current_period_start: int | None = Field(default=None, sa_type=BigInteger)
    current_period_end: int | None = Field(default=None, sa_type=BigInteger)
    billing_cycle_anchor: int | None = Field(default=None, sa_type=BigInteger)
    period_changes: list[dict[str, Any]] | None = Field(default=None, sa_type=Json)
    """Which of Stripe's periods opened no usage period, or opened it later: see `entitlements.cycles`."""
    trial_end: int | None = Field(default=None, sa_type=BigInteger)
    cancel_at: int | None = Field(default=None, sa_type=BigInteger)
    cancel_at_period_end: bool = False
    canceled_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    schedule_id: str | None = Field(default=None, sa_type=Text)
    """The subscription schedule that manages it."""
    schedules: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What its latest schedules say, by their ids: see `stripe.schedules`."""
    pause_collection: dict[str, Any] | None = Field(default=None, sa_type=Json)
    pause_cause: str | None = Field(default=None, sa_type=Text)
    """Why Stripe has paused it (`status_details.paused.subscription.type`); null while it is not paused."""
    past_due_since: int | None = Field(default=None, sa_type=BigInteger)
    """When it became past due or unpaid, which grace counts from; null in any other status."""
    running_at: int | None = Field(default=None, sa_type=BigInteger)
    """The newest moment at which Stripe said that it was active or trialing."""
    due_at: list[int] | None = Field(default=None, sa_type=Json)
    """Moments since `running_at` at which Stripe said that a payment was due, the earliest first."""
    due_invoices: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What its invoices say of when a payment became due, while Stripe has never said that it was running:
    see `past_due`."""
    first_payment_failed_at: int | None = Field(default=None, sa_type=BigInteger)
    """When Stripe voided its first invoice after a failed payment, as it does for bank debits."""
    ever_paid: bool | None = None
    """Whether any invoice of it was paid; null in rows from before this was recorded."""
    activation: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """An activation that is announced once its user is known, or after some seconds without one."""
    livemode: bool | None = None
    stripe_metadata: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    needs_refresh: bool = False
    """The events alone do not determine the state: fetch it from Stripe."""
    erased_at: int | None = Field(default=None, sa_type=BigInteger)
    """When its personal data was erased, in Unix seconds; what says who it is about is not stored again."""

    snapshot_rank: int | None = None
    """With `snapshot_created`, where the newest snapshot stands in the order (see `ordering`)."""
    snapshot_created: int | None = Field(default=None, sa_type=BigInteger)
    snapshot_burst: int = 0
    """How many snapshots share that rank and second."""
    snapshot_event_id: str | None = Field(default=None, sa_type=Text)
    overlay: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The last internal update: its values and its `created`."""
    rules_version: int | None = None
    """With `rules_row_version`, whether the columns follow today's rules (see `follows_rules`)."""
    rules_row_version: int | None = Field(default=None, sa_type=BigInteger)
    recorded_at: int | None = recorded_at_field()
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)


class Invoice(Record, table=True):
    """A Stripe invoice, as far as access and billing pages need it."""

    __tablename__ = "billing_invoice"
    __table_args__ = (
        partial_index("ix_billing_invoice_payment_id", "payment_id IS NOT NULL", "payment_id"),
        partial_index("ix_billing_invoice_needs_refresh", "needs_refresh"),
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    customer_id: str | None = Field(default=None, sa_type=IdText, index=True)
    subscription_id: str | None = Field(default=None, sa_type=IdText, index=True)
    status: str | None = Field(default=None, sa_type=Text)
    amount_due: int | None = Field(default=None, sa_type=BigInteger)
    amount_paid: int | None = Field(default=None, sa_type=BigInteger)
    amount_remaining: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
    attempt_count: int = Field(default=0, sa_type=BigInteger)
    next_payment_attempt: int | None = Field(default=None, sa_type=BigInteger)
    hosted_invoice_url: str | None = Field(default=None, sa_type=Text)
    created: int | None = Field(default=None, sa_type=BigInteger)
    paid_at: int | None = Field(default=None, sa_type=BigInteger)
    payment_id: str | None = Field(default=None, sa_type=IdText)
    """Of its payment intent, else of its charge, where Stripe names one."""
    livemode: bool | None = None
    billing_reason: str | None = Field(default=None, sa_type=Text)
    due_date: int | None = Field(default=None, sa_type=BigInteger)
    needs_refresh: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """A payment or a credit note changed it, or two events of one second differ: read it from Stripe."""

    snapshot_created: int | None = Field(default=None, sa_type=BigInteger)
    snapshot_event_id: str | None = Field(default=None, sa_type=Text)
    rules_version: int | None = None
    rules_row_version: int | None = Field(default=None, sa_type=BigInteger)
    recorded_at: int | None = recorded_at_field()
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)


class Customer(Record, table=True):
    """A Stripe customer and the application's user that it belongs to."""

    __tablename__ = "billing_customer"
    __table_args__ = (
        partial_index("ix_billing_customer_needs_refresh", "needs_refresh"),
        # People search by it. The start alone: an e-mail of any length must fit into the index.
        Index("ix_billing_customer_email", text("lower(substr(email, 1, 200))")),
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    user_id: str | None = Field(default=None, sa_type=IdText, index=True)
    link_source: str | None = Field(default=None, sa_type=Text)
    """Which claim names the user: `internal`, `metadata`, `checkout`, `update` or `session`."""
    links: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """What each source says of the user, so that they merge in any order; see `inbox.handlers.claims`."""
    email: str | None = Field(default=None, sa_type=Text)
    livemode: bool | None = None
    deleted: bool = False
    deleted_at: int | None = Field(default=None, sa_type=BigInteger)
    """When Stripe said that it was deleted (Unix seconds); the subscriptions that it had then have ended."""
    details_from: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Where the e-mail comes from while the newest statement is a deletion without it: the `created` and
    `event_id` of a snapshot."""
    needs_refresh: bool = False
    erased_at: int | None = Field(default=None, sa_type=BigInteger)
    """When its personal data was erased, in Unix seconds; what says who it is about is not stored again."""

    snapshot_rank: int | None = None
    snapshot_created: int | None = Field(default=None, sa_type=BigInteger)
    snapshot_burst: int = 0
    snapshot_event_id: str | None = Field(default=None, sa_type=Text)
    rules_version: int | None = None
    rules_row_version: int | None = Field(default=None, sa_type=BigInteger)
    recorded_at: int | None = recorded_at_field()
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)


class EventState:
    """The states of an event in the inbox."""

    PENDING = "pending"
    PROCESSED = "processed"
    IGNORED = "ignored"
    FAILED = "failed"
    DEAD = "dead"


class WebhookEvent(Record, table=True):
    """The inbox: one row an event, the body exactly as it was signed."""

    __tablename__ = "billing_event"

    id: str = Field(primary_key=True, sa_type=IdText)
    type: str = Field(sa_type=Text)
    object_id: str | None = Field(default=None, sa_type=IdText)
    created: int | None = Field(default=None, sa_type=BigInteger)
    api_version: str | None = Field(default=None, sa_type=Text)
    livemode: bool | None = None
    account: str | None = Field(default=None, sa_type=Text)
    source: str = Field(default="stripe", sa_type=Text)
    body: str = Field(sa_type=Text)
    signature: str | None = Field(default=None, sa_type=Text)
    received_at: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)
    attempts: int = 0
    last_error: str | None = Field(default=None, sa_type=Text)
    processed_at: int | None = Field(default=None, sa_type=BigInteger)
    first_processed_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it was processed for the first time: a replay moves `processed_at` alone."""
    failing_since: int | None = Field(default=None, sa_type=BigInteger)
    next_attempt_at: int | None = Field(default=None, sa_type=BigInteger)
    """When a failed event is due; pushed into the future while a worker has it."""

    __table_args__ = (
        partial_index("ix_billing_event_next_attempt_at", "state = 'failed'", "next_attempt_at"),
        partial_index(
            "ix_billing_event_unsettled", "state IN ('pending', 'failed', 'dead')", "state", "received_at"
        ),
        Index("ix_billing_event_object_id_created", "object_id", "created"),
        Index("ix_billing_event_received_at_id", "received_at", "id"),
    )


class OutboxState:
    """The states of an outbox entry."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


class OutboxEntry(Record, table=True):
    """A reaction that one durable receiver has yet to see, written in the transaction that it follows from.

    Without a receiver it says that the reaction was announced, so that it is announced once.
    """

    __tablename__ = "billing_outbox"
    __table_args__ = (
        partial_index(
            "ix_billing_outbox_receiver_next_attempt_at", "state = 'pending'", "receiver", "next_attempt_at"
        ),
        partial_index("ix_billing_outbox_unsettled", "state IN ('pending', 'dead')", "state", "created_at"),
        Index("ix_billing_outbox_customer_id_created_at", "customer_id", "created_at"),
        Index("ix_billing_outbox_created_at_id", "created_at", "id"),
        {"info": {"insert_only": True}},
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    """`<reaction>:<receiver>`: the same reaction of an event that comes again is not announced again."""
    signal: str = Field(sa_type=Text)
    receiver: str = Field(sa_type=IdText)
    event_id: str | None = Field(default=None, sa_type=IdText)
    customer_id: str | None = Field(default=None, sa_type=IdText)
    reaction: dict[str, Any] = Field(sa_type=Json)
    created_at: int = Field(sa_type=BigInteger)
    state: str = Field(default=OutboxState.PENDING, sa_type=Text)
    attempts: int = 0
    failing_since: int | None = Field(default=None, sa_type=BigInteger)
    next_attempt_at: int = Field(default=0, sa_type=BigInteger)
    """When it is due; pushed into the future while a process has it."""
    last_error: str | None = Field(default=None, sa_type=Text)
    done_at: int | None = Field(default=None, sa_type=BigInteger)


configure_mappers()
