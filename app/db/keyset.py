"""Keyset pagination: a page starts after the sort key of the last row before it.

So no page reads the rows of earlier pages, as OFFSET does, and rows that are added or deleted meanwhile do
not repeat or hide others. The last column of a key is unique, and no column of a key is null.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, tuple_

Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])
R = TypeVar("R")
K = TypeVar("K", bound=Sequence[Any])


def in_key_order(
    query: Query, key: Sequence[Any], after: Sequence[Any] | None = None, *, descending: bool = False
) -> Query:
    """Sort the query by its key columns, and start after the row whose key is `after`."""
    if after is not None:
        place = tuple_(*key)
        query = query.where(place < after if descending else place > after)
    return query.order_by(*(column.desc() if descending else column for column in key))


def cut_page(rows: Sequence[R], limit: int, key_of: Callable[[R], K]) -> tuple[Sequence[R], K | None]:
    """Cut up to `limit + 1` rows to a page.

    Returns the page, and the key of its last row if there is a next page.
    """
    return (rows[:limit], key_of(rows[limit - 1])) if len(rows) > limit else (rows, None)
