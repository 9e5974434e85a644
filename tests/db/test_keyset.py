"""Keyset pagination: every row once, in the order of the key, whatever happens between two pages."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, delete, select

from app.db import Database, open_database
from app.db.keyset import cut_page, in_key_order
from app.db.models import WebhookEvent

KEY = (col(WebhookEvent.received_at), col(WebhookEvent.id))
SECONDS = (10, 10, 10, 11, 12, 12, 13)
"""When the rows were received: several in one second."""


def key_of(row: WebhookEvent) -> tuple[int, str]:
    return row.received_at, row.id


def event(number: int, received_at: int) -> WebhookEvent:
    return WebhookEvent(
        id=f"evt_{number:02}", type="x", received_at=received_at, state="processed", body="{}"
    )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Seven events, stored in no order."""
    database = open_database(database_url)
    rows = [event(number, seconds) for number, seconds in enumerate(SECONDS)]
    random.Random(1).shuffle(rows)
    try:
        async with database.session() as session:
            session.add_all(rows)
        yield database
    finally:
        await database.close()


async def read(database: Database, after: Any, limit: int, *, descending: bool) -> list[WebhookEvent]:
    query = in_key_order(select(WebhookEvent), KEY, after, descending=descending).limit(limit)
    async with database.reading() as session:
        return list(await session.exec(query))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
async def test_pages_hold_every_row_once_in_the_order_of_the_key(
    database: Database, size: int, descending: bool
) -> None:
    pages: list[list[tuple[int, str]]] = []
    after = None
    for _ in SECONDS:
        rows = await read(database, after, size + 1, descending=descending)
        page, after = cut_page(rows, size, key_of)
        pages.append([key_of(row) for row in page])
        if after is None:
            break
    in_order = sorted(((at, f"evt_{n:02}") for n, at in enumerate(SECONDS)), reverse=descending)
    assert [key for page in pages for key in page] == in_order
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= size


async def test_a_page_starts_in_the_same_place_when_rows_before_it_come_and_go(database: Database) -> None:
    first = await read(database, None, 3, descending=False)
    async with database.session() as session:
        await session.exec(delete(WebhookEvent).where(col(WebhookEvent.id).in_(["evt_00", "evt_02"])))
        session.add_all([event(20, 9), event(21, 8), event(22, 7)])
    rest = await read(database, key_of(first[-1]), 10, descending=False)
    assert [row.id for row in rest] == ["evt_03", "evt_04", "evt_05", "evt_06"]


def test_a_page_that_holds_all_rows_has_no_next_one() -> None:
    assert cut_page([1, 2], 2, str) == ([1, 2], None)
    assert cut_page([], 2, str) == ([], None)
    assert cut_page([1, 2, 3], 2, str) == ([1, 2], "2")
