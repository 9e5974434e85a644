"""Cursors: the sort key of a page's last row, opaque to the caller."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import orjson
from fastapi import Query

from ..db.keyset import cut_page
from ..errors import InvalidRequest
from ..stripe.objects import as_integer

Limit = Annotated[int, Query(ge=1, le=100, description="Rows a page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]


R = TypeVar("R")


def page_of(
    rows: Sequence[R], limit: int, key_of: Callable[[R], tuple[str | int, ...]]
) -> tuple[Sequence[R], str | None]:
    """Cut up to `limit + 1` rows to a page. Returns it, and the cursor of the next page, if there is one."""
    page, key = cut_page(rows, limit, key_of)
    return page, None if key is None else encode_cursor(*key)


def encode_cursor(*key: str | int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[str | int]:
    """The sort key in a cursor.

    Raises:
        InvalidRequest: for anything that `encode_cursor` has not made.
    """
    try:
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        key = None
    fits = isinstance(key, list) and [type(part) for part in key] == list(types)
    if not fits or not all(map(_is_storable, key)) or encode_cursor(*key) != cursor:
        raise InvalidRequest("cursor: is none of this list's. Take next_cursor of the page before.")
    return list(key)


def _is_storable(part: str | int) -> bool:
    """Whether a query may name it: PostgreSQL's text holds no NUL, its bigint nothing beyond 64 bits."""
    return "\x00" not in part if isinstance(part, str) else as_integer(part) is not None
