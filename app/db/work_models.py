"""Who changed what, and the jobs that run now and then. Times are Unix seconds."""

from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field

from .table import IdText, Json, Record, Table, partial_index


class AuditEntry(Record, table=True):
    """A change that somebody made, who it was, and what was there before. Nothing is ever changed here."""

    __tablename__ = "billing_audit"
    __table_args__ = (
        Index("ix_billing_audit_at_id", "at", "id"),
        Index("ix_billing_audit_subject_at", "subject", "at"),
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    at: int = Field(sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    """A key of the internal API by its name, or who used the shell or the admin screen."""
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=IdText)
    """The id of what was changed: a subscription, a customer, a user, an event."""
    before: dict[str, Any] | None = Field(default=None, sa_type=Json)
    after: dict[str, Any] | None = Field(default=None, sa_type=Json)
    request_id: str | None = Field(default=None, sa_type=Text)


class Job(Table, table=True):
    """A periodic job, which one process runs at a time: catch-up, reconcile, fetching objects."""

    __tablename__ = "billing_job"

    name: str = Field(primary_key=True, sa_type=IdText)
    holder: str | None = Field(default=None, sa_type=Text)
    """Who runs it, until `lease_until`; a killed one's lease runs out."""
    lease_until: int = Field(default=0, sa_type=BigInteger)
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it last finished."""
    cursor: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Where it was, to go on from there."""
    result: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Its result when it last finished."""


class EventArrival(Table, table=True):
    """How many events arrived in an hour in one of the ways of `inbox.arrivals`, such as refused."""

    __tablename__ = "billing_event_arrival"

    hour: int = Field(primary_key=True, sa_type=BigInteger)
    """When the hour began, in Unix seconds."""
    way: str = Field(primary_key=True, sa_type=Text)
    count: int = Field(sa_type=BigInteger)
    first_at: int = Field(sa_type=BigInteger)
    last_at: int = Field(sa_type=BigInteger)


class OpenedSession(Table, table=True):
    """A checkout session that was opened here: the newest of a user, and those that are to be expired."""

    __tablename__ = "billing_checkout_session"
    __table_args__ = (
        partial_index("ix_billing_checkout_session_open", "closed_at IS NULL"),
        Index("ix_billing_checkout_session_expires_at", "expires_at"),
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    user_id: str = Field(sa_type=IdText, index=True)
    allow_second: bool
    """Whether it was opened for a user who may subscribe already."""
    opened_at: int = Field(sa_type=BigInteger)
    """By Stripe's clock, as `expires_at`."""
    expires_at: int = Field(sa_type=BigInteger)
    superseded_at: int | None = Field(default=None, sa_type=BigInteger)
    """Since when another one takes its place: Stripe is to expire it."""
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    """Since when it is known not to be open at Stripe: paid, or expired."""
    next_attempt_at: int = Field(default=0, sa_type=BigInteger)
    """When Stripe may be asked about it again; pushed into the future while a process does so."""
