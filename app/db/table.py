"""The base of all tables, and the types of their columns."""

import json
from typing import Any, ClassVar, cast

import orjson
from sqlalchemy import JSON, BigInteger, Index, MetaData, Text, text
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

# Ids sort by their bytes on both databases, so that rows are always locked in one order.
IdText = Text().with_variant(Text(collation="C"), "postgresql")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

KEPT_ONCE_WRITTEN = "kept_once_written"
"""In a column's `info`: a row that is there keeps the value that it was inserted with."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """Base of all tables. A registry of its own keeps an application's SQLModel tables apart from ours."""

    __tablename__: ClassVar[str]


def read_json(text: str | bytes) -> Any:
    """A JSON column's value. The standard library reads what orjson refuses: half a surrogate pair."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def table_of(model: type[Table]) -> SqlTable:
    """The SQLAlchemy table of a model."""
    return cast(SqlTable, vars(model)["__table__"])


class Record(Table):
    """A row with an id of its own."""

    id: str


def recorded_at_field() -> Any:
    """Since when a record is there, in Unix seconds; null in rows from before this was recorded."""
    return Field(default=None, sa_type=BigInteger, sa_column_kwargs={"info": {KEPT_ONCE_WRITTEN: True}})


def partial_index(name: str, condition: str, *columns: str) -> Index:
    """An index of the few rows that somebody looks for."""
    where = text(condition)
    return Index(name, *(columns or ("id",)), postgresql_where=where, sqlite_where=where)


def default_row(model: type[Record]) -> dict[str, Any]:
    """The columns of a new row, with their defaults."""
    return {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
