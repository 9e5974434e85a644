"""`make bench-limits`: what a check and a consume cost, beside what they cannot be cheaper than.

Each pair is measured in turns within one run; what counts is the ratio of the medians.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.config import SHIPPED_PLANS
from app.db import Database, open_database
from app.db.migrations import migrate
from app.limits import Limits, statements
from app.limits.usage import parameters
from app.plans import load_catalogue
from tests.databases import PostgresServer

from . import limits_http

ROUNDS = 7
LOOPS = 20_000
CONSUMES = 300
MANY_USERS = 1_000_000
FEW_USERS = 1_000


def per_call(work: Callable[[], object]) -> float:
    """Microseconds for one call."""
    began = time.perf_counter()
    for _ in range(LOOPS):
        work()
    return (time.perf_counter() - began) / LOOPS * 1e6


async def per_await(work: Callable[[], Awaitable[object]], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        await work()
    return (time.perf_counter() - began) / count * 1e6


class Report:
    """Rows of name, microseconds, baseline, ratio and goal."""

    def __init__(self, title: str) -> None:
        self.table = Table(title=title, title_justify="left")
        for column in ("what", "µs (median, min to max)", "baseline", "µs", "ratio", "goal"):
            self.table.add_column(column, justify="left" if column in ("what", "baseline") else "right")

    def row(self, name: str, costs: list[float], base: str, bases: list[float], goal: str) -> None:
        ratio = statistics.median(costs) / statistics.median(bases)
        spread = f"{statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})"
        self.table.add_row(name, spread, base, f"{statistics.median(bases):.2f}", f"{ratio:.2f}", goal)


def look_up(limits: dict[str, int], feature: str, used: int) -> bool:
    return used < limits[feature]


async def checks(limits: Limits, report: Report) -> None:
    entitlements = await limits.load("ada")
    plain = {"projects": 3, "storage_bytes": 5}
    base, allows, check, load = [], [], [], []
    for _ in range(ROUNDS):
        base.append(per_call(lambda: look_up(plain, "projects", 1)))
        allows.append(per_call(lambda: entitlements.allows("projects")))
        check.append(per_call(lambda: entitlements.check("projects", used=1)))
        load.append(await per_await(lambda: limits.load("ada"), LOOPS))
    report.row("ent.allows", allows, "dict look-up in a function", base, "≤ 3")
    report.row("ent.check", check, "dict look-up in a function", base, "≤ 10")
    report.row("limits.load, cached", load, "dict look-up in a function", base, "< 100")


async def consuming(database: Database, limits: Limits, report: Report, user: str = "ada") -> list[float]:
    """`limits.consume` against its own statement through `session.execute`, both in one transaction."""
    statement = statements.consume(database.name, keyed=False)
    async with database.session() as session:
        entry = await limits.snapshots.read(await session.connection(), user)
    values = parameters(entry, "api_calls", 1, int(time.time())) | {"limit": 2**62}
    base, cost = [], []
    for _ in range(ROUNDS):
        async with database.session() as session:
            connection = await session.connection()
            base.append(await per_await(lambda c=connection: c.execute(statement, values), CONSUMES))  # type: ignore[misc]
            cost.append(
                await per_await(
                    lambda s=session: limits.consume(s, user, "storage_bytes", 1),  # type: ignore[misc]
                    CONSUMES,
                )
            )
    report.row(f"limits.consume ({database.name})", cost, "its statement alone", base, "≤ 1.5")
    return cost


async def seed_usage(database: Database, users: int) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO billing_usage "
                "SELECT 'user_' || n, 'storage_bytes', 1, '[]'::jsonb, 0, 9223372036854775807, 0 "
                f"FROM generate_series(1, {users}) AS n ON CONFLICT DO NOTHING"
            )
        )
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("ANALYZE billing_usage"))


async def flat(database: Database, limits: Limits, report: Report) -> None:
    """What a consume costs with a million users, against what it costs with a thousand."""
    costs: dict[int, list[float]] = {}
    for users in (FEW_USERS, MANY_USERS):
        await seed_usage(database, users)
        costs[users] = []
        for number in range(ROUNDS):
            async with database.session() as session:
                cost = per_await(
                    lambda s=session, u=f"user_{number + 1}": limits.consume(s, u, "storage_bytes", 1),  # type: ignore[misc]
                    CONSUMES,
                )
                costs[users].append(await cost)
    report.row("consume, 1,000,000 users", costs[MANY_USERS], "consume, 1,000 users", costs[FEW_USERS], "~ 1")


async def measure(url: str, console: Console, *, many: bool) -> None:
    database = open_database(url, patient=True)  # a million rows are written in one statement
    limits = Limits(database, load_catalogue(SHIPPED_PLANS), time.time)
    report = Report(f"Limits on {database.name}")
    if many:
        await checks(limits, report)
    await consuming(database, limits, report)
    if many:
        await flat(database, limits, report)
    console.print(report.table)
    await database.close()


def main() -> None:
    console = Console(width=130)
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        migrate(url)
        asyncio.run(measure(url, console, many=False))
        limits_http.measure("sqlite", url, Path(folder), console)
    server = PostgresServer(fsync=True)
    server.start()
    try:
        migrate(server.url)
        asyncio.run(measure(server.url, console, many=True))
        with TemporaryDirectory() as folder:
            limits_http.measure("postgresql", server.url, Path(folder), console)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
