"""The table of planned changes that are set aside, as a SQLModel class. Times are Unix seconds."""

from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from .table import IdText, Json, Table


class SetAsidePlan(Table, table=True):
    """What was planned for the end of a subscription's period, while another change is made at once.

    The row is written before Stripe is asked for anything, and deleted afterwards.
    """

    __tablename__ = "billing_set_aside_plan"

    subscription_id: str = Field(primary_key=True, sa_type=IdText)
    at: int = Field(sa_type=BigInteger)
    """When the planned change is to hold."""
    items: dict[str, Any] = Field(sa_type=Json)
    """`planned`: price and quantity of each item then. `held`: id, price and quantity of each item before."""
    due_at: int = Field(sa_type=BigInteger, index=True)
    """When a process looks what became of it; pushed into the future while one does."""
