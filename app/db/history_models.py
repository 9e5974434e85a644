"""The records before their changes, and the plan catalogues that were in force. Times are Unix seconds."""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from .table import IdText, Json, Table, partial_index


class RecordHistory(Table, table=True):
    """What a record was before a change. Written by triggers on the tables of records, and never changed."""

    __tablename__ = "billing_record_history"
    __table_args__ = (
        partial_index("ix_billing_record_history_former_owner", "former_owner IS NOT NULL", "former_owner"),
    )

    record_id: str = Field(primary_key=True, sa_type=IdText)
    valid_until: int = Field(primary_key=True, sa_type=BigInteger, index=True)
    """When the change was made: `record` is what held until then."""
    version: int = Field(primary_key=True, sa_type=BigInteger)
    """The version of the record before the change."""
    kind: str = Field(primary_key=True, sa_type=Text)
    """`subscription`, `customer`, `invoice`, `price` or `purchase`."""
    former_owner: str | None = Field(default=None, sa_type=IdText)
    """Whose it was, where the change gave it to another user, or an invoice to another subscription."""
    record: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The columns that limits are made of."""


class StoredCatalogue(Table, table=True):
    """A plan catalogue, and since when processes have worked by it."""

    __tablename__ = "billing_catalogue"

    since: int = Field(primary_key=True, sa_type=BigInteger)
    hash: str = Field(primary_key=True, sa_type=IdText)
    """The SHA-256 of the content, in hexadecimal."""
    content: str = Field(sa_type=Text)
    """The plans file, to the letter."""
