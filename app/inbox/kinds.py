"""The records that events name, and how they are made outside any ORM session."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from sqlalchemy import Table

from ..db.models import (
    Customer,
    Invoice,
    Price,
    Product,
    Purchase,
    Record,
    Subscription,
    default_row,
    table_of,
)

R = TypeVar("R", bound=Record)

KINDS: dict[str, type[Record]] = {
    "subscription": Subscription,
    "invoice": Invoice,
    "customer": Customer,
    "price": Price,
    "product": Product,
    "purchase": Purchase,
}
"""The records that events name, by Stripe's word for the object."""

DEFAULT_ROWS = {model: default_row(model) for model in KINDS.values()}


def make_row(model: type[R], values: Mapping[str, Any]) -> R:
    """A row outside any ORM session: its constructor would cost more than all else that an event needs."""
    row = object.__new__(model)
    row.__dict__.update(values)
    return row


def tables_of(named: Mapping[str, Collection[str]]) -> dict[Table, Collection[str]]:
    """The tables to load the named records from: that of purchases only where an event names one."""
    return {
        table_of(model): named[kind] for kind, model in KINDS.items() if named[kind] or model is not Purchase
    }


UNLOCKED = frozenset({"price", "product"})
"""Kinds whose rows are merged when they are written. Nearly every event names a price, so that locks on them
would let one batch work at a time."""
