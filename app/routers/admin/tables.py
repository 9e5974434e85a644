"""The tables: read only, sorted by an index, paged by the last row's key, and never counted in full.

A filter with an index narrows the query. One without looks through a window of rows in the table's order;
where the window holds less than a page, the next page goes on behind it. So no page costs more than a window,
however many rows there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqladmin import expose
from sqlalchemy import Row, select, tuple_
from starlette.requests import Request
from starlette.responses import Response

from ...stripe_objects import as_integer
from .listings import TABLES, Filter, Table
from .text import encoded
from .views import Page, not_found, parameter

PAGE = 50
WINDOW = 5_000
"""Rows that a page looks through for a filter without an index."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One page. `following` is where the next goes on; `searched` that a window was looked through."""

    rows: Sequence[Row[Any]]
    following: str | None
    searched: bool


class TablePage(Page):
    """`/admin/<table>`."""

    @expose("/{table}", identity="table")
    async def table(self, request: Request) -> Response:
        name = request.path_params["table"]
        if name not in TABLES:
            raise not_found("There is no such page.")
        table = TABLES[name]
        chosen = chosen_filters(request, table)
        descending = (
            parameter(request, "sort") != "up" if table.newest_first else parameter(request, "sort") == "down"
        )
        page = await self._read(table, chosen, descending, read_key(table, parameter(request, "after")))
        sort = "down" if descending else "up"
        query = "&".join(f"{key}={encoded(value)}" for key, value in chosen.items())
        return await self.render(
            request, "table.html", name=name, table=table, chosen=chosen, page=page, sort=sort, query=query,
            window=WINDOW,
        )  # fmt: skip

    async def _read(
        self, table: Table, chosen: Mapping[str, str], descending: bool, after: list[Any] | None
    ) -> Rows:
        query, searched = window_query(table, chosen, descending, after)
        async with self.service.database.reading() as session:
            connection = await session.connection()
            found = list(await connection.execute(query.limit(PAGE + 1)))
            if len(found) > PAGE:
                return Rows(found[:PAGE], key_of(table, found[PAGE - 1]), searched)
            last = (
                (await connection.execute(window_end(table, chosen, descending, after))).first()
                if searched
                else None
            )
        return Rows(found, key_of(table, last) if last is not None else None, searched)


def chosen_filters(request: Request, table: Table) -> dict[str, str]:
    """The filters of the address that the table has, with values that they take."""
    given = {each.name: (each, parameter(request, each.name, 255)) for each in table.filters}
    return {
        name: value
        for name, (each, value) in given.items()
        if value and (not each.options or value in each.options)
    }


def _keyed(
    table: Table, chosen: Mapping[str, str], descending: bool, after: list[Any] | None, names: Any
) -> Any:
    """The table in its order, behind `after`, narrowed by what an index finds."""
    key = [getattr(table.model, name) for name in table.order]
    query = select(*(getattr(table.model, name) for name in names))
    for each in table.filters:
        if each.name in chosen and each.is_indexed(chosen[each.name]):
            query = query.where(each.condition(chosen[each.name]))
    if after is not None:
        query = query.where(tuple_(*key) < after if descending else tuple_(*key) > after)
    return query.order_by(*(part.desc() if descending else part for part in key))


def _others(table: Table, chosen: Mapping[str, str]) -> list[Filter]:
    return [each for each in table.filters if each.name in chosen and not each.is_indexed(chosen[each.name])]


def window_query(
    table: Table, chosen: Mapping[str, str], descending: bool, after: list[Any] | None
) -> tuple[Any, bool]:
    """The rows to show, and whether they are looked for in a window."""
    names = list(dict.fromkeys([*table.order, *(each.name for each in table.columns), *table.extra]))
    others = _others(table, chosen)
    if not others:
        return _keyed(table, chosen, descending, after, names), False
    window = _keyed(table, chosen, descending, after, ["id"]).limit(WINDOW).subquery()
    query = _keyed(table, {}, descending, None, names).where(table.model.id.in_(select(window.c.id)))  # type: ignore[attr-defined]
    for each in others:
        query = query.where(each.condition(chosen[each.name]))
    return query, True


def window_end(table: Table, chosen: Mapping[str, str], descending: bool, after: list[Any] | None) -> Any:
    """The last row of a window that is full: the next page goes on behind it."""
    return _keyed(table, chosen, descending, after, table.order).offset(WINDOW - 1).limit(1)


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
