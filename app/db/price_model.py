"""The table of prices, as a SQLModel class. Times are Unix seconds."""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from .table import IdText, Json, Record, partial_index


class Price(Record, table=True):
    """A Stripe price, and what it was seen with.

    No lock is taken: half of all events name the same few prices, and a row is written only when something
    is seen for the first time. Of two writers at once the keys of both stay (`united`).
    """

    __tablename__ = "billing_price"
    __table_args__ = (
        partial_index("ix_billing_price_unmapped_at", "unmapped_at IS NOT NULL"),
        {"info": {"united": ("lookup_keys",)}},
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    product_id: str | None = Field(default=None, sa_type=Text)
    lookup_keys: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """Every lookup key that it was seen with, and when it was first, in Unix seconds."""
    unmapped_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it was first seen in a live subscription while the catalogue did not list it."""
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)
