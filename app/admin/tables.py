"""The tables: read only, sorted by an index, paged by the last row's key, never counted in full.

A filter with an index narrows the query. One without an index searches a window of rows in the table's
order; if the window holds less than a page, the next page continues after it. So no page reads more than one
window, however many rows there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Row, select, tuple_
from starlette.requests import Request
from starlette.responses import Response

from ..db import Database
from ..db.keyset import cut_page, in_key_order
from ..stripe.objects import as_integer
from .formatting import encoded
from .page import Admin, not_found, parameter
from .table_definitions import TABLES, Filter, Table

PAGE = 50
WINDOW = 5_000
"""Rows that one page searches for a filter without an index."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One page. `following` is the key where the next page starts; `searched`: a window was searched."""

    rows: Sequence[Row[Any]]
    following: str | None
    searched: bool


async def table_page(admin: Admin, request: Request) -> Response:
    """`/admin/<table>`."""
    name = request.path_params["table"]
    if name not in TABLES:
        raise not_found("There is no such page.")
    table, sort = TABLES[name], parameter(request, "sort")
    chosen = chosen_filters(request, table)
    descending = sort != "up" if table.newest_first else sort == "down"
    page = await _read(
        admin.service.database, table, chosen, descending, read_key(table, parameter(request, "after"))
    )
    return admin.render(
        request,
        "table.html",
        name=name,
        table=table,
        chosen=chosen,
        page=page,
        sort="down" if descending else "up",
        query="&".join(f"{key}={encoded(value)}" for key, value in chosen.items()),
        window=WINDOW,
    )


async def _read(
    database: Database,
    table: Table,
    chosen: Mapping[str, str],
    descending: bool,
    after: list[Any] | None,
) -> Rows:
    order, used = Order(table, descending), [each for each in table.filters if each.name in chosen]
    indexed = [each for each in used if each.is_indexed(chosen[each.name])]
    searching = len(indexed) < len(used)
    async with database.reading() as session:
        connection = await session.connection()
        end = None
        if searching:
            end = (await connection.execute(order.window_end(conditions_of(indexed, chosen), after))).first()
        query = order.rows(conditions_of(used, chosen), after, end).limit(PAGE + 1)
        rows = list(await connection.execute(query))
    page, following = cut_page(rows, PAGE, partial(key_of, table))
    if following is None and end is not None:
        following = key_of(table, end)
    return Rows(page, following, searching)


def conditions_of(filters: Sequence[Filter], chosen: Mapping[str, str]) -> list[Any]:
    return [each.condition(chosen[each.name]) for each in filters]


def chosen_filters(request: Request, table: Table) -> dict[str, str]:
    """The filters in the address that the table has, with values that they accept."""
    given = {each.name: (each, parameter(request, each.name, 255)) for each in table.filters}
    return {
        name: value
        for name, (each, value) in given.items()
        if value and (not each.options or value in each.options)
    }


@dataclass(frozen=True, slots=True)
class Order:
    """A table in the ascending or descending order of its key."""

    table: Table
    descending: bool

    @property
    def key(self) -> list[Any]:
        return [getattr(self.table.model, name) for name in self.table.order]

    def rows(self, conditions: Sequence[Any], after: Sequence[Any] | None, end: Sequence[Any] | None) -> Any:
        """The columns to show, of the rows after `after` up to and including `end`.

        Both bounds are in the query, so that no query plan reads more of the table than lies between them.
        """
        shown = (each.name for each in self.table.columns)
        names = dict.fromkeys([*self.table.order, *shown, *self.table.extra])
        query = self._select(names, conditions, after)
        if end is None:
            return query
        place, last = tuple_(*self.key), list(end)
        return query.where(place >= last if self.descending else place <= last)

    def window_end(self, narrowed: Sequence[Any], after: Sequence[Any] | None) -> Any:
        """The last row of a full window; no row if fewer are left."""
        return self._select(self.table.order, narrowed, after).offset(WINDOW - 1).limit(1)

    def _select(self, names: Iterable[str], conditions: Sequence[Any], after: Sequence[Any] | None) -> Any:
        query = select(*(getattr(self.table.model, name) for name in names)).where(*conditions)
        return in_key_order(query, self.key, after, descending=self.descending)


def key_of(table: Table, row: Row[Any]) -> str:
    """The sort key of a row, for the address of the next page."""
    return orjson.dumps([getattr(row, name) for name in table.order]).decode()


def read_key(table: Table, text: str) -> list[Any] | None:
    """The key in an address; None for anything that is none."""
    try:
        key = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(key, list) or len(key) != len(table.order) or not isinstance(key[-1], str):
        return None
    return key if all(as_integer(part) is not None for part in key[:-1]) and "\x00" not in key[-1] else None
