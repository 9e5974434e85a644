"""The tables: filtered, sorted, and paged to the end without a row lost or shown twice."""

import html
import re

import pytest

from app.admin import tables
from app.admin.table_definitions import TABLES
from app.db.models import Customer, Subscription, WebhookEvent
from tests.client import Client

from .visitor import START, Visitor, logged_in, words

pytestmark = pytest.mark.postgresql_in_long

RARE = (29, 30, 31, 89, 90)
"""The numbers of a few events at the edges of windows of 30 rows."""


async def fill(client: Client, count: int) -> None:
    async with client.app.state.billing.database.session() as session:
        for number in range(count):
            status = "past_due" if number % 10 == 0 else "unpaid" if number == count - 1 else "active"
            row = Subscription(id=f"sub_{number:04}", customer_id="cus_1", status=status, items=[])
            state = "dead" if number % 10 == 0 else "processed"
            event = WebhookEvent(
                id=f"evt_{number:04}",
                type="customer.created" if number in RARE else "invoice.paid",
                received_at=START + number // 7,  # several in one second
                body="{}",
                state=state,
            )
            session.add_all([row, event])


async def walk(visitor: Visitor, path: str, kind: str) -> list[str]:
    """The ids on all pages of a table, by its links."""
    found: list[str] = []
    for _ in range(100):
        page = await visitor.open(path)
        body = page.split("<tbody>")[1] if "<tbody>" in page else ""
        found += re.findall(rf"<bdi>({kind}_\d+)</bdi>", body)
        following = re.search(r'rel="next" href="/admin([^"]+)"', page)
        if following is None:
            return found
        path = html.unescape(following[1])
    raise AssertionError("the pages do not end")


async def test_paging_shows_every_row_once_in_order(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        await fill(client, 120)
        subscriptions = [f"sub_{number:04}" for number in range(120)]
        assert await walk(visitor, "/subscriptions", "sub") == subscriptions
        assert await walk(visitor, "/subscriptions?sort=down", "sub") == subscriptions[::-1]
        events = [f"evt_{number:04}" for number in range(120)]
        assert await walk(visitor, "/events", "evt") == events[::-1]
        assert await walk(visitor, "/events?sort=up", "evt") == events


async def test_a_filter_with_an_index_and_one_without_find_the_same_way(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WINDOW", 30)  # of 120 rows: several windows are looked through
    async with logged_in(database_url) as (client, visitor):
        await fill(client, 120)
        tenth = [f"{number:04}" for number in range(0, 120, 10)]
        assert await walk(visitor, "/subscriptions?status=past_due", "sub") == [
            f"sub_{each}" for each in tenth
        ]
        assert await walk(visitor, "/subscriptions?status=unpaid", "sub") == ["sub_0119"]
        assert await walk(visitor, "/events?state=dead", "evt") == [f"evt_{each}" for each in tenth][::-1]
        rare = [f"evt_{number:04}" for number in RARE]
        assert await walk(visitor, "/events?type=customer.created&sort=up", "evt") == rare
        assert await walk(visitor, "/events?type=customer.created", "evt") == rare[::-1]
        assert await walk(visitor, "/events?state=dead&type=invoice.paid&sort=up", "evt") == [
            f"evt_{each}" for each in tenth if int(each) not in RARE
        ]
        first = words(await visitor.open("/subscriptions?status=unpaid"))
        assert "None among the 30 rows that were looked through." in first


async def test_the_customers_of_no_user_are_those_with_a_live_subscription(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        async with client.app.state.billing.database.session() as session:
            session.add_all(
                Customer(id=f"cus_{n}", user_id="u" if n == 1 else None, deleted=n == 2) for n in range(5)
            )
            session.add_all(
                Subscription(id=f"sub_{n}", customer_id=f"cus_{n}", status=status, items=[])
                for n, status in enumerate(("active", "active", "active", "past_due", "canceled"))
            )
        assert await walk(visitor, "/customers?linked=no", "cus") == ["cus_0", "cus_3"]
        assert await walk(visitor, "/customers?linked=yes", "cus") == ["cus_1"]


async def test_no_table_can_be_written_to(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        for name in TABLES:
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                response = await visitor.http.request(method, f"/admin/{name}")
                assert response.status_code in (403, 405), (method, name)
