"""The table of seats that are to be bought, as a SQLModel class. Times are Unix seconds."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from .table import IdText, Table, partial_index


class SeatRequest(Table, table=True):
    """How many members a user's subscription is to pay for; the quantity follows it at Stripe.

    A row is pending while `wanted` and `done` differ.
    """

    __tablename__ = "billing_seat_request"
    __table_args__ = (partial_index("ix_billing_seat_request_due_at", "wanted <> done", "due_at"),)

    user_id: str = Field(primary_key=True, sa_type=IdText)
    members: int = Field(sa_type=BigInteger)
    wanted: int = Field(default=1, sa_type=BigInteger)
    """Counts the requests."""
    done: int = Field(default=0, sa_type=BigInteger)
    """The request that Stripe has been asked for last."""
    actor: str = Field(sa_type=Text)
    requested_at: int = Field(sa_type=BigInteger)
    """When the first of the requests that are pending was made."""
    due_at: int = Field(sa_type=BigInteger)
    """When it is to be sent: some seconds after the last request, so that several make one change."""
    leased_until: int = Field(default=0, sa_type=BigInteger)
    """Until when a process has it; one that was killed leaves it for so long."""
    attempts: int = 0
    last_error: str | None = Field(default=None, sa_type=Text)
    """Why the last attempt failed; null once it is done."""
    subscription_id: str | None = Field(default=None, sa_type=IdText)
    """The subscription whose quantity was set last."""
    quantity: int | None = Field(default=None, sa_type=BigInteger)
    """The quantity that it has at Stripe since then."""
    done_at: int | None = Field(default=None, sa_type=BigInteger)
