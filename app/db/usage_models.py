"""What users have used, and what was granted to them by hand. Times are Unix seconds."""

from typing import Any

from sqlalchemy import BigInteger, Text, text
from sqlmodel import Field

from .table import IdText, Json, Record, Table


class User(Record, table=True):
    """What the limits of a user rest on: whatever may change the answer counts `version` up."""

    __tablename__ = "billing_user"

    id: str = Field(primary_key=True, sa_type=IdText)
    version: int = Field(default=0, sa_type=BigInteger)
    state_due_at: int = Field(
        default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": "1"}, index=True
    )
    """When the user's state is next compared with what was announced of it last. Every change writes 0."""
    state_version: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    """How often the state was announced."""
    state_digest: str | None = Field(default=None, sa_type=Text)
    """Of the state that was announced last; None announces it again."""


class Usage(Table, table=True):
    """How much of a metered feature a user has taken. One row, so that one statement can guard it."""

    __tablename__ = "billing_usage"

    user_id: str = Field(primary_key=True, sa_type=IdText)
    feature: str = Field(primary_key=True, sa_type=IdText)
    used: int = Field(default=0, sa_type=BigInteger)
    holds: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    """What is reserved and not finished: `[{"id", "amount", "expires_at"}]`. It counts until it expires."""
    period_start: int = Field(default=0, sa_type=BigInteger)
    period_end: int = Field(sa_type=BigInteger)
    """When a consumable's usage resets, in Unix seconds; never, for an allocated feature."""
    updated_at: int = Field(sa_type=BigInteger)
    version: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    """Counted up by every change of what is used."""
    included: int | None = Field(default=None, sa_type=BigInteger)
    """The limit when usage was last changed; None: unlimited, or not known."""
    over_since: int | None = Field(default=None, sa_type=BigInteger)
    """Since when more is used than the limit, as after a downgrade. Unix seconds."""
    drawn: dict[str, Any] = Field(
        default_factory=dict, sa_type=Json, sa_column_kwargs={"server_default": text("'{}'")}
    )
    """What was drawn from each grant: `{grant: {taken, period, in, last, place}}`. See `limits.draws`."""
    thresholds: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Which thresholds were announced in the period that began at `start`: see `limits.thresholds`."""


class UsageOverage(Table, table=True):
    """A period in which a soft limit was passed: at its end the overage is announced, and the row deleted."""

    __tablename__ = "billing_usage_overage"

    user_id: str = Field(primary_key=True, sa_type=IdText)
    feature: str = Field(primary_key=True, sa_type=IdText)
    period_start: int = Field(primary_key=True, sa_type=BigInteger)
    due_at: int = Field(sa_type=BigInteger, index=True)
    """When it is next looked at; pushed into the future while a process does so."""


class UsagePeriod(Table, table=True):
    """What a user had used of a consumable when its period ended. Written by a trigger on `billing_usage`."""

    __tablename__ = "billing_usage_period"

    user_id: str = Field(primary_key=True, sa_type=IdText)
    feature: str = Field(primary_key=True, sa_type=IdText)
    period_start: int = Field(primary_key=True, sa_type=BigInteger)
    period_end: int = Field(sa_type=BigInteger, index=True)
    used: int = Field(sa_type=BigInteger)
    included: int | None = Field(default=None, sa_type=BigInteger)
    """The limit that held then; None: unlimited, or not known."""


class UsageKey(Table, table=True):
    """An idempotency key that was used, and the answer that it gave."""

    __tablename__ = "billing_usage_key"

    user_id: str = Field(primary_key=True, sa_type=IdText)
    feature: str = Field(primary_key=True, sa_type=IdText)
    operation: str = Field(primary_key=True, sa_type=IdText)
    key: str = Field(primary_key=True, sa_type=IdText)
    amount: int = Field(sa_type=BigInteger)
    decision: dict[str, Any] = Field(sa_type=Json)
    expires_at: int = Field(sa_type=BigInteger, index=True)


class Override(Table, table=True):
    """What one user has of one feature apart from any plan."""

    __tablename__ = "billing_override"

    user_id: str = Field(primary_key=True, sa_type=IdText)
    feature: str = Field(primary_key=True, sa_type=IdText)
    op: str = Field(sa_type=Text)
    value: Any = Field(default=None, sa_type=Json, nullable=True)
    """As written in the catalogue: 5, "10 GiB", "unlimited", true."""
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    reason: str | None = Field(default=None, sa_type=Text)
    actor: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
