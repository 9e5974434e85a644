"""How long `plans check` takes, and how much memory: `python -m benchmarks.plans_check [--users N]`.

Each user has a customer, a subscription of one or two items, and usage of two features; some have an open
invoice or an override. Without `--url` a SQLite file is made and removed. A database of `--url` must be
migrated and empty. The first check is of the live catalogue itself: only who is over a limit already is
counted. The second lowers a limit of one plan.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.config import SHIPPED_PLANS
from app.db import Database, open_database
from app.db.migrations import migrate
from app.db.models import (
    RULES_VERSION,
    Customer,
    Invoice,
    Override,
    Subscription,
    Table,
    Usage,
    default_row,
    table_of,
)
from app.operations.plans_check import check_plans
from app.plans import Catalogue, load_catalogue

NOW = 1_893_456_000
DAY = 86_400
PAGE = 2000
PRICES = ("price_starter", "price_team", "price_team_yearly", "price_of_no_plan")
Rows = dict[type[Table], list[dict[str, Any]]]


def rows_of(number: int) -> Rows:
    """All rows of one user; no two users' periods are the same."""
    id = f"{number * 7919 % 10_000_019:08}"
    price = PRICES[number % 100 // 33]
    start = NOW - number % (28 * DAY) - 1
    row = {"rules_version": RULES_VERSION, "rules_row_version": 1, "version": 1}
    customer = default_row(Customer) | row
    customer |= {"id": f"cus_{id}", "user_id": f"user_{id}", "link_source": "metadata", "links": {}}
    items = [_item(f"si_{id}", price, number % 5 + 1, start)]
    if number % 10 == 0:
        items.append(_item(f"si_{id}_2", "price_more_projects", 2, start))
    seen = {each["item_id"]: {each["price_id"]: [start, 0, 1, "prod_1", None]} for each in items}
    subscription = default_row(Subscription) | row
    subscription |= {
        "id": f"sub_{id}",
        "customer_id": f"cus_{id}",
        "user_id": f"user_{id}",
        "link_source": "customer",
        "links": {"metadata": {"user_id": None, "named": False, "created": start, "event_id": "evt_1"}},
        "status": "past_due" if number % 50 == 0 else "canceled" if number % 7 == 0 else "active",
        "items": items,
        "item_history": {"prices": seen, "replaced": {}},
        "plan_id": price,
        "quantity": number % 5 + 1,
        "start_date": start,
        "expiry_date": start + 30 * DAY,
        "current_period_start": start,
        "current_period_end": start + 30 * DAY,
        "billing_cycle_anchor": start,
        "past_due_since": NOW - number % (10 * DAY) if number % 50 == 0 else None,
        "snapshot_rank": 1,
        "snapshot_created": start,
        "snapshot_event_id": f"evt_{id}",
    }
    found: Rows = {Customer: [customer], Subscription: [subscription], Usage: list(_usage(id, number))}
    if number % 50 == 0:
        of = {"id": f"in_{id}", "customer_id": f"cus_{id}", "subscription_id": f"sub_{id}", "status": "open"}
        found[Invoice] = [default_row(Invoice) | row | of | {"created": start, "attempt_count": 1}]
    if number % 100 == 0:
        override = {"user_id": f"user_{id}", "feature": "projects", "op": "add", "value": number % 7}
        found[Override] = [override | {"expires_at": None, "reason": None, "actor": "a", "created_at": NOW}]
    return found


def _item(id: str, price: str, quantity: int, start: int) -> dict[str, Any]:
    return {
        "item_id": id,
        "price_id": price,
        "product_id": "prod_1",
        "quantity": quantity,
        "metered": False,
        "interval": "month",
        "interval_count": 1,
        "current_period_start": start,
        "current_period_end": start + 30 * DAY,
    }


def _usage(id: str, number: int) -> Iterator[dict[str, Any]]:
    for feature, used, start in (("projects", number % 12, 0), ("api_calls", number % 900, NOW)):
        row = {"user_id": f"user_{id}", "feature": feature, "used": used, "holds": [], "version": 1}
        yield row | {"period_start": start, "period_end": NOW + DAY, "updated_at": NOW}


async def seed(database: Database, users: int) -> None:
    """Add so many users, a page of them in a transaction."""
    for first in range(0, users, PAGE):
        page: Rows = {}
        for number in range(first, min(users, first + PAGE)):
            for model, rows in rows_of(number).items():
                page.setdefault(model, []).extend(rows)
        async with database.session() as session:
            connection = await session.connection()
            for model, rows in page.items():
                await connection.execute(table_of(model).insert(), rows)


async def measure(
    url: str, users: int, catalogues: list[tuple[str, Catalogue]], live: Catalogue
) -> list[str]:
    """Seed the database, and check each of the catalogues once; a line for each."""
    database = open_database(url)
    lines = []
    try:
        await seed(database, users)
        for name, new in catalogues:
            peak, started, worked = _peak_mb(), time.perf_counter(), time.process_time()
            found = await check_plans(database, live, new, NOW)
            seconds, worked = time.perf_counter() - started, time.process_time() - worked
            lines.append(
                f"{name}: {found.users} users, {found.changed} changed, {seconds:.1f} s "
                f"({worked:.1f} s of processor time), "
                f"peak memory {_peak_mb()} MB ({peak} MB before)"
            )
    finally:
        await database.close()
    return lines


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--url", help="A migrated, empty database.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lower = Path(folder, "new.toml")
        lower.write_text(SHIPPED_PLANS.read_text().replace("projects = 10\n", "projects = 9\n"))
        live = load_catalogue(SHIPPED_PLANS)
        catalogues = [("the same catalogue", live), ("fewer projects", load_catalogue(lower))]
        url = given.url or f"sqlite:///{Path(folder, 'users.db')}"
        if given.url is None:
            migrate(url)
        for line in asyncio.run(measure(url, given.users, catalogues, live)):
            print(line)  # noqa: T201


if __name__ == "__main__":
    main()
