"""Which tables there are: their columns, filters and order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import literal_column
from sqlmodel import col

from ..checks.records import unlinked
from ..db.audit import has_action, has_subject
from ..db.models import AuditEntry, Customer, Invoice, OutboxEntry, Record, Subscription, WebhookEvent

Condition = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """A field above the table. `options` makes it a choice; without an index it searches a window."""

    name: str
    label: str
    condition: Condition
    options: tuple[str, ...] = ()
    indexed: tuple[str, ...] | bool = False
    """Whether an index finds its rows; or for which of the options one does."""

    def is_indexed(self, value: str) -> bool:
        return self.indexed if isinstance(self.indexed, bool) else value in self.indexed


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` says how the template shows it."""

    name: str
    label: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `order` is its sort key, the last of it unique; times are newest first."""

    title: str
    model: type[Record]
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    order: tuple[str, ...] = ("id",)
    order_label: str = "id"
    newest_first: bool = False
    intro: str = ""
    extra: tuple[str, ...] = field(default=())
    """Columns that are read beside those shown."""


def equals(column: Any) -> Condition:
    return lambda value: column == value


def literally(column: str, allowed: Sequence[str]) -> Condition:
    """Written out, not bound: a partial index is used only where its condition is seen to hold."""

    def condition(value: str) -> Any:
        assert value in allowed
        return literal_column(column) == literal_column(f"'{value}'")

    return condition


def flag(column: str) -> Condition:
    return lambda value: literal_column(column if value == "yes" else f"NOT {column}")


def linked(value: str) -> Any:
    if value == "yes":
        return col(Customer.user_id).is_not(None)
    return col(Customer.deleted).is_(False) & col(Customer.id).in_(unlinked())


STATUSES = (
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "paused",
)
EVENT_STATES = ("dead", "failed", "pending", "processed", "ignored")
UNSETTLED = ("dead", "failed", "pending")

TABLES: dict[str, Table] = {
    "subscriptions": Table(
        "Subscriptions",
        Subscription,
        (
            Column("id", "Subscription", "record"),
            Column("customer_id", "Customer", "record"),
            Column("user_id", "User", "user"),
            Column("status", "Status", "status"),
            Column("plan_id", "Price"),
            Column("quantity", "Quantity"),
            Column("expiry_date", "Term ends", "time"),
            Column("needs_refresh", "To be fetched again", "flag"),
            Column("updated_at", "Updated", "time"),
        ),
        (
            Filter("status", "Status", literally("status", STATUSES), STATUSES, indexed=("past_due",)),
            Filter(
                "needs_refresh", "To be fetched again", flag("needs_refresh"), ("yes", "no"), indexed=("yes",)
            ),
            Filter("customer_id", "Customer", equals(col(Subscription.customer_id)), indexed=True),
            Filter("plan_id", "Price", equals(col(Subscription.plan_id))),
        ),
    ),
    "customers": Table(
        "Customers",
        Customer,
        (
            Column("id", "Customer", "record"),
            Column("user_id", "User", "user"),
            Column("email", "E-mail"),
            Column("link_source", "Linked by"),
            Column("deleted", "Deleted", "flag"),
            Column("updated_at", "Updated", "time"),
        ),
        (
            Filter("linked", "Linked", linked, ("no", "yes"), indexed=("no",)),
            Filter("user_id", "User", equals(col(Customer.user_id)), indexed=True),
            Filter("needs_refresh", "To be fetched again", flag("needs_refresh"), ("yes",), indexed=("yes",)),
        ),
        intro="“Linked: no” shows those with a live subscription that is no user’s: they pay for nobody.",
    ),
    "invoices": Table(
        "Invoices",
        Invoice,
        (
            Column("id", "Invoice", "record"),
            Column("customer_id", "Customer", "record"),
            Column("subscription_id", "Subscription", "record"),
            Column("status", "Status", "status"),
            Column("amount_due", "Due", "money"),
            Column("amount_remaining", "Remaining", "money"),
            Column("attempt_count", "Attempts"),
            Column("created", "Created", "time"),
        ),
        (
            Filter("customer_id", "Customer", equals(col(Invoice.customer_id)), indexed=True),
            Filter("subscription_id", "Subscription", equals(col(Invoice.subscription_id)), indexed=True),
            Filter(
                "status",
                "Status",
                equals(col(Invoice.status)),
                ("open", "paid", "draft", "uncollectible", "void"),
            ),
        ),
        extra=("currency",),
    ),
    "events": Table(
        "Events",
        WebhookEvent,
        (
            Column("id", "Event", "event"),
            Column("type", "Type"),
            Column("object_id", "Object", "record"),
            Column("state", "State", "status"),
            Column("attempts", "Attempts"),
            Column("last_error", "Last error"),
            Column("created", "Created", "time"),
            Column("received_at", "Received", "time"),
        ),
        (
            Filter("state", "State", literally("state", EVENT_STATES), EVENT_STATES, indexed=UNSETTLED),
            Filter("object_id", "Object", equals(col(WebhookEvent.object_id)), indexed=True),
            Filter("type", "Type", equals(col(WebhookEvent.type))),
            Filter(
                "source",
                "Source",
                equals(col(WebhookEvent.source)),
                ("stripe", "internal", "catch-up", "re-read"),
            ),
        ),
        ("received_at", "id"),
        "received",
        newest_first=True,
    ),
    "outbox": Table(
        "Reactions",
        OutboxEntry,
        (
            Column("signal", "Reaction"),
            Column("receiver", "Receiver"),
            Column("customer_id", "Customer", "record"),
            Column("event_id", "Event", "event"),
            Column("state", "State", "status"),
            Column("attempts", "Attempts"),
            Column("last_error", "Last error"),
            Column("created_at", "Created", "time"),
        ),
        (
            Filter("customer_id", "Customer", equals(col(OutboxEntry.customer_id)), indexed=True),
            Filter("state", "State", equals(col(OutboxEntry.state)), ("pending", "done", "dead")),
            Filter("receiver", "Receiver", equals(col(OutboxEntry.receiver))),
        ),
        ("created_at", "id"),
        "created",
        newest_first=True,
        extra=("id",),
    ),
    "audit": Table(
        "Audit",
        AuditEntry,
        (
            Column("at", "At", "time"),
            Column("actor", "Who"),
            Column("action", "What", "action"),
            Column("subject", "Of what", "subject"),
            Column("before", "Before", "json"),
            Column("after", "After", "json"),
        ),
        (
            Filter("subject", "Of what", has_subject, indexed=True),
            Filter("actor", "Who", equals(col(AuditEntry.actor))),
            Filter("action", "What", has_action),
        ),
        ("at", "id"),
        "time",
        newest_first=True,
        extra=("id",),
    ),
}
