"""`make bench` and `make bench-quick`: what the webhook path carries, beside what it cannot be cheaper than.

Baselines and the service are measured in turns within one run. What counts is the ratio within a round.
"""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from rich.console import Console

from app.migrations import migrate
from tests.databases import PostgresServer, run_sql, with_database

from . import machine, rates, report
from .baselines import SCHEMA
from .measures import Finding, spread
from .plot import Chart, Line, svg
from .trials import Generator, LostEventsError, Trials

RESULTS = Path(__file__).resolve().parent / "results"
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
NOTES = (
    "Every event is stored by its server: what was answered with 200 is counted in the database afterwards.",
    "Open loop: 830 events/s at random times; a latency runs from when the event was due.",
)


@dataclass(frozen=True)
class Size:
    """How long a run is."""

    seconds: float
    warmup: float
    rounds: int
    quick: bool


QUICK = Size(seconds=1.0, warmup=0.2, rounds=4, quick=True)
FULL = Size(seconds=3.0, warmup=0.5, rounds=7, quick=False)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that keeps what it has committed, as in production."""
    server = PostgresServer(fsync=True, **POSTGRES)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def make_database(server: PostgresServer, name: str, *, ours: bool = True) -> str:
    """A database with the service's tables, or those of the hand-written baseline."""
    url = with_database(server.url, name)
    asyncio.run(run_sql(server.url, f"CREATE DATABASE {name}"))
    if ours:
        migrate(url)
    else:
        asyncio.run(run_sql(url, SCHEMA))
    return url


def stored(url: str) -> int:
    """How many events a database holds."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute("SELECT count(*) FROM billing_event").fetchone()[0])
    table = "bench_event" if url.endswith("/hand") else "billing_event"
    return asyncio.run(_stored(url, table))


async def _stored(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


def check_stored(trials: Trials, databases: Sequence[str]) -> None:
    """Whether all that was answered is there."""
    for url in databases:
        if (found := stored(url)) != trials.sent[url]:
            raise LostEventsError(f"{trials.sent[url]} events were answered with 200, {found} are stored")


def run_rates(server: PostgresServer, folder: Path, trials: Trials, size: Size) -> list[Finding]:
    """The part that both the quick and the full run have."""
    databases = rates.Addresses(
        hand=make_database(server, "hand", ours=False),
        one=make_database(server, "one"),
        two=make_database(server, "two"),
        lite=f"sqlite:///{folder / 'bench.db'}",
    )
    with ExitStack() as stack:
        servers = rates.start_all(folder, databases, stack)
        rates.measure(servers, trials, rounds=size.rounds, quick=size.quick)
    check_stored(trials, [databases.hand, databases.one, databases.two, databases.lite])
    return rates.findings(trials)


def rate_chart(trials: Trials) -> Chart:
    lines = []
    for name in rates.FULL_CASES:
        points = [
            (str(connections), spread(trials.rates(name, connections)))
            for connections in rates.CONNECTIONS
            if (name, connections) in trials.by_case
        ]
        lines.append(Line(name, points))
    return Chart("Events a second", "connections", "events/s", lines)


def run(size: Size, console: Console) -> list[Finding]:
    """Measure, show, and write the results."""
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        postgres() as server,
        closing(Generator()) as generator,
    ):
        version = asyncio.run(_version(server.url))
        described = machine.describe(version, {"fsync": "on"} | POSTGRES)
        trials = Trials(generator, server.pid, size.seconds, size.warmup)
        findings = run_rates(server, Path(folder), trials, size)
        charts = [rate_chart(trials)]
    report.show(console, "Goals", report.GOAL_COLUMNS, report.goal_rows(findings))
    report.show(console, "Rates", report.RATE_COLUMNS, report.rate_rows(trials))
    for name, value in described.items():
        console.print(f"{name}: {value}", highlight=False)
    name = "webhooks-quick" if size.quick else "webhooks"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(
        report.markdown("What the webhook carries", findings, trials, described, NOTES)
    )
    (RESULTS / f"{name}.svg").write_text(svg(charts))
    return findings


async def _version(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rates only, in under two minutes")
    parser.add_argument("--check", action="store_true", help="fail when a ratio is below half its goal")
    options = parser.parse_args(arguments)
    console = Console(width=150)
    findings = run(QUICK if options.quick else FULL, console)
    failed = [finding for finding in findings if finding.fails]
    for finding in failed:
        console.print(
            f"[red]Far off: {finding.goal.what}: {finding.spread.median:.2f}, {finding.goal.text}[/]"
        )
    return 1 if options.check and failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
