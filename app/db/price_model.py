"""The tables of prices and products, as SQLModel classes. Times are Unix seconds.

No lock is taken for either: half of all events name the same few prices. What a row shows is that of the
newest statement (`newest`): of two writers at once, the one with the greater `shown_at` stays.
"""

from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field

from .table import IdText, Json, Record, partial_index, recorded_at_field


class Price(Record, table=True):
    """A Stripe price: what it was seen with, and what it costs.

    A row is written only when something is seen for the first time, or Stripe tells of the price itself. Of
    two writers at once the lookup keys of both stay (`united`).
    """

    __tablename__ = "billing_price"
    __table_args__ = (
        partial_index("ix_billing_price_unmapped_at", "unmapped_at IS NOT NULL"),
        Index("ix_billing_price_product_id", "product_id"),
        Index("ix_billing_price_lookup_key", "lookup_key"),
        {
            "info": {
                "united": ("lookup_keys",),
                "newest": {"shown_at": ("shown", "lookup_key"), "currencies_at": ("currencies",)},
            }
        },
    )

    id: str = Field(primary_key=True, sa_type=IdText)
    product_id: str | None = Field(default=None, sa_type=Text)
    lookup_keys: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """Every lookup key that it was seen with, and when it was first, in Unix seconds."""
    unmapped_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it was first seen in a live subscription while the catalogue did not list it."""
    shown: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What it costs, and whether Stripe sells it: see `stripe.objects.price_values`."""
    lookup_key: str | None = Field(default=None, sa_type=Text)
    """The one that it has now."""
    shown_at: str | None = Field(default=None, sa_type=IdText)
    """Which statement of Stripe's `shown` is from: a greater one is newer."""
    currencies: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What it costs in other currencies: see `stripe.price_values.currency_values`; null: not known."""
    currencies_at: str | None = Field(default=None, sa_type=IdText)
    """The same of `currencies`, which events do not show."""
    recorded_at: int | None = recorded_at_field()
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)


class Product(Record, table=True):
    """A Stripe product: what its prices sell, by name."""

    __tablename__ = "billing_product"
    __table_args__ = ({"info": {"newest": {"shown_at": ("name", "description", "active")}}},)

    id: str = Field(primary_key=True, sa_type=IdText)
    name: str | None = Field(default=None, sa_type=Text)
    description: str | None = Field(default=None, sa_type=Text)
    active: bool | None = None
    shown_at: str | None = Field(default=None, sa_type=IdText)
    """Which statement of Stripe's the rest is from: a greater one is newer."""
    version: int = Field(default=0, sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)
