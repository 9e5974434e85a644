"""Cursors: the sort key of a page's last row, opaque to the caller."""

import base64
from typing import Annotated

import orjson
from fastapi import Query

from ...errors import InvalidRequest

Limit = Annotated[int, Query(ge=1, le=100, description="Rows a page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]


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
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or "\x00" in str(key[-1]):
        raise InvalidRequest("cursor: is none of this list's. Take next_cursor of the page before.")
    return key
