"""The records that events name, and how they are made outside any ORM session."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast

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

RULED = frozenset({Subscription, Invoice, Customer})
"""The models whose rows say by which rules they were written."""

DEFAULT_ROWS = {model: default_row(model) for model in KINDS.values()}


def _plain(model: type[Record]) -> type[Record]:
    """The model as handlers see it: its attributes are read from the instance alone.

    SQLAlchemy's own attributes look for an ORM session each time, which was a tenth of what an event cost.
    """
    shadows: dict[str, Any] = dict.fromkeys(model.model_fields)
    return type.__new__(type(model), model.__name__, (model,), {"__module__": __name__, **shadows})


PLAIN = {model: _plain(model) for model in KINDS.values()}
MODELS = {plain: model for model, plain in PLAIN.items()}


def make_row(model: type[R], values: Mapping[str, Any]) -> R:
    """A row outside any ORM session: its constructor would cost more than all else that an event needs."""
    row = object.__new__(PLAIN[model])
    row.__dict__.update(values)
    return cast(R, row)


def model_of(row: Record) -> type[Record]:
    """The model of a row that `make_row` has made."""
    return MODELS[type(row)]


SELDOM_NAMED = frozenset({Purchase, Product})


def tables_of(named: Mapping[str, Collection[str]]) -> dict[Table, Collection[str]]:
    """The tables to load the named records from: those that few events name only where one does."""
    return {
        table_of(model): named[kind]
        for kind, model in KINDS.items()
        if named[kind] or model not in SELDOM_NAMED
    }


UNLOCKED = frozenset({"price", "product"})
"""Kinds whose rows are merged when they are written. Nearly every event names a price, so that locks on them
would let one batch work at a time."""
