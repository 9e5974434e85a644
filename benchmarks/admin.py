"""`make bench-admin`: how long a page of every kind of the admin screen takes in a large database.

1,000,000 subscriptions and 5,000,000 events are made by SQL in a PostgreSQL of its own, removed after.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.admin.passwords import hash_password
from app.config import Settings
from app.db import open_database
from app.db.migrations import migrate
from app.main import create_app
from tests.client import KEY, SECRET
from tests.databases import PostgresServer

SUBSCRIPTIONS, EVENTS = 1_000_000, 5_000_000
ROUNDS = 9
GOAL_MS = 300
NAME, PASSWORD = "bench", "not-a-real-password"

SEED = (Path(__file__).parent / "admin_seed.sql").read_text()
STEP = 500_000

PAGES = (
    ("overview", "/"),
    ("user by id", "/user?id=user_123456"),
    ("user, second page", "/user?id=user_123456&before={before}.evt_"),
    ("search by e-mail", "/search?q=person654321@example.com"),
    ("search by event", "/search?q=evt_4000000"),
    ("search for nothing", "/search?q=nobody@example.com"),
    ("event", "/event?id=evt_4999999"),
    ("subscriptions", "/subscriptions"),
    ("subscriptions past due", "/subscriptions?status=past_due"),
    ("subscriptions unpaid (no index)", "/subscriptions?status=unpaid"),
    ("subscriptions to be re-read", "/subscriptions?needs_refresh=yes"),
    ("subscriptions, deep", '/subscriptions?after=["sub_654321"]'),
    ("customers", "/customers"),
    ("customers of no user", "/customers?linked=no"),
    ("customers of a user (no index)", "/customers?linked=yes"),
    ("invoices open (no index)", "/invoices?status=open"),
    ("events", "/events"),
    ("events, deep", '/events?after=[{deep},"evt_"]'),
    ("events dead", "/events?state=dead"),
    ("events of an object", "/events?object_id=sub_77"),
    ("events of a rare type (no index)", "/events?type=customer.created"),
    ("reactions", "/outbox"),
    ("audit", "/audit"),
    ("audit of a subject", "/audit?subject=user_5"),
    ("replay, the question", "/action/replay?event=evt_2000000"),
    ("override, the form", "/action/override?user=user_5"),
)


async def seed(url: str, now: int, console: Console) -> None:
    """Fill the tables, each in steps."""
    database = open_database(url, patient=True)
    for statement in SEED.split(";\n\n"):
        for first in range(1, EVENTS, STEP):
            values = {"@now": now, "@first": first, "@last": first + STEP - 1}
            sql = statement
            for name, value in values.items():
                sql = sql.replace(name, str(value))
            async with database.engine.begin() as connection:
                await connection.exec_driver_sql(sql)
        console.print(f"  {statement.partition('INSERT INTO ')[2].split()[0]}")
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM ANALYZE"))
    await database.close()


async def log_in(http: httpx.AsyncClient) -> None:
    page = await http.get("/admin/login")
    token = page.text.split('name="token" value="')[1].split('"')[0]
    form = {"token": token, "username": NAME, "password": PASSWORD}
    assert (await http.post("/admin/login", data=form)).status_code == 303


async def count(http: httpx.AsyncClient) -> tuple[float, float]:
    """Open the overview until its figures are counted: ms of the first request, seconds in all."""
    began = time.perf_counter()
    page = (await http.get("/admin/")).text
    first = time.perf_counter() - began
    while "Being counted" in page:
        await asyncio.sleep(0.1)
        page = (await http.get("/admin/")).text
    return first * 1000, time.perf_counter() - began


async def measure(url: str, now: int) -> tuple[Table, bool]:
    settings = Settings(
        _env_file=None,
        database_url=url,
        stripe_webhook_secret=(SecretStr(SECRET),),
        internal_api_key=(SecretStr(KEY),),
        spool_dir=None,
        event_retention_days=0,
        admin_username=NAME,
        admin_password_hash=SecretStr(hash_password(PASSWORD)),
    )
    app = create_app(settings, clock=lambda: float(now))
    title = f"A page with {SUBSCRIPTIONS:,} subscriptions and {EVENTS:,} events"
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    table = Table(title=f"{title}, {load}", title_justify="left")
    for column in ("page", "first, ms", "median, ms", "worst, ms", "KB"):
        table.add_column(column, justify="left" if column == "page" else "right")
    fast = True
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="https://bench.test", timeout=60) as http,
    ):
        await log_in(http)
        counting = await count(http)
        for name, path in PAGES:
            path = path.replace("{before}", str(now)).replace("{deep}", str(now - 86_400 * 45))
            costs = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                response = await http.get(f"/admin{path}", follow_redirects=True)
                costs.append((time.perf_counter() - began) * 1000)
                assert response.status_code == 200, (path, response.text[:500])
            median = statistics.median(costs)
            fast = fast and median < GOAL_MS
            size = len(response.content) / 1000
            table.add_row(name, f"{costs[0]:.0f}", f"{median:.0f}", f"{max(costs):.0f}", f"{size:.0f}")
    table.caption = (
        f"The overview's first request took {counting[0]:.0f} ms, its figures {counting[1]:.1f} s beside it."
    )
    return table, fast


def main() -> None:
    console = Console(width=110)
    server = PostgresServer(shared_buffers="512MB", max_wal_size="4GB", maintenance_work_mem="256MB")
    server.start()
    try:
        migrate(server.url)
        now, began = int(time.time()), time.perf_counter()
        asyncio.run(seed(server.url, now, console))
        console.print(f"Seeded in {time.perf_counter() - began:.0f} s.")
        table, fast = asyncio.run(measure(server.url, now))
        console.print(table)
        console.print(f"Goal: a median under {GOAL_MS} ms on every page: {'met' if fast else 'MISSED'}")
    finally:
        server.remove()
    raise SystemExit(not fast)


if __name__ == "__main__":
    main()
