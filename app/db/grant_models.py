"""What users have of their own beside a subscription: grants, and what was bought once.

Times are Unix seconds, amounts of money minor currency units.
"""

from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlmodel import Field

from .table import IdText, Json, Record, Table, recorded_at_field


class Grant(Table, table=True):
    """A dated amount of a feature, or a plan, that an operator or the application gave to one user."""

    __tablename__ = "billing_grant"

    id: str = Field(primary_key=True, sa_type=IdText)
    user_id: str = Field(sa_type=IdText, index=True)
    feature: str | None = Field(default=None, sa_type=IdText)
    amount: int | None = Field(default=None, sa_type=BigInteger)
    """How much of the feature; null for a plan."""
    plan: str | None = Field(default=None, sa_type=Text)
    priority: int = Field(default=0, sa_type=Integer)
    """Of a consumable's grants the one with the lowest number is drawn down first."""
    starts_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    """When somebody ended it before its time."""
    source: str = Field(sa_type=Text)
    """`operator` or `code`."""
    reason: str | None = Field(default=None, sa_type=Text)
    actor: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


class Purchase(Record, table=True):
    """What was bought once, with its refunds and disputes: each column is a function of the set of events.

    One row for each payment intent: the checkout session, the charge and the dispute all name it.
    """

    __tablename__ = "billing_purchase"

    id: str = Field(primary_key=True, sa_type=IdText)
    """The payment intent; the checkout session where nothing was to be paid."""
    session_id: str | None = Field(default=None, sa_type=IdText)
    customer_id: str | None = Field(default=None, sa_type=IdText, index=True)
    user_id: str | None = Field(default=None, sa_type=IdText, index=True)
    """Whom the session itself names; null: the customer's user."""
    offer: str | None = Field(default=None, sa_type=Text)
    """What was bought, such as `credits.top_up_100`; null while only a refund is known."""
    quantity: int | None = Field(default=None, sa_type=BigInteger)
    gives: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What the catalogue gave for the offer when it was first seen."""
    paid_at: int | None = Field(default=None, sa_type=BigInteger)
    amount: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
    refunds: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """Of each charge what was charged, the most that was refunded, since when, and what the newest event
    says: `{charge: [amount, refunded, created, newest_created, newest_refunded]}`; older rows have the first
    three. Of each refund itself: `{refund: {amount, at, failed_at}}`."""
    disputes: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """The newest state of each dispute: `{dispute: {status, amount, created, event_id}}`."""
    livemode: bool | None = None
    stated: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """`created` and `event_id` of the newest event of the session. `sold`: those of the earliest that says
    what was sold; `offer`, `quantity` and `gives` are of that one."""
    recorded_at: int | None = recorded_at_field()
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)
