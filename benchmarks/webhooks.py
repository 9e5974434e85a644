"""`make bench` and `make bench-quick`: what the webhook path carries, beside what it cannot be cheaper than.

Baselines and the service are measured in turns within one run. What counts is the ratio within a round.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import asyncpg
from rich.console import Console

from app.db.migrations import migrate
from tests.databases import PostgresServer, run_sql, with_database

from . import generator, growth, machine, rates, report
from .baselines import SCHEMA
from .measures import Finding, spread
from .plot import Chart, Line, svg
from .trials import Generator, LostEventsError, Trials

RESULTS = Path(__file__).resolve().parent / "results"
FREE_DISK_GIB = 20
DRAIN_SECONDS = 30
APPLIED = "billing_event WHERE state = 'processed'"
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB", "min_wal_size": "2GB"}
SYSTEMS = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu install PostgreSQL, by version."""
WAL_SEGMENTS = 128
NOTES = (
    "Every event is stored by its server: what was answered with 200 is counted in the database afterwards.",
    "Open loop: 830 events/s at random times; a latency runs from when the event was due.",
)
OTHERS = "While the rates were measured, others took {:.0%} of the machine."


@dataclass(frozen=True)
class Outcome:
    """What was found, and the share (0 to 1) that others took of the machine meanwhile."""

    findings: list[Finding]
    others: float


@dataclass(frozen=True)
class Size:
    """How long a run is."""

    seconds: float
    warmup: float
    rounds: int
    most_seconds: float
    quick: bool


QUICK = Size(seconds=1.0, warmup=0.2, rounds=4, most_seconds=45, quick=True)
FULL = Size(seconds=2.0, warmup=0.4, rounds=5, most_seconds=600, quick=False)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that keeps what it has committed, as in production."""
    if installed := sorted(SYSTEMS.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])):
        os.environ.setdefault("POSTGRES_BIN", str(installed[-1].parent))  # the tests' own has no lz4
    server = PostgresServer(fsync=True, **POSTGRES)
    try:
        server.start()
        asyncio.run(_age(server.url))
        yield server
    finally:
        server.remove()


async def _age(url: str) -> None:
    """Leave as many files of the log as one that has run for a day has to write over.

    A new server makes and fills one of 16 MB a second, and all commits wait: that would be measured instead.
    """
    connection = await asyncpg.connect(url)
    try:
        for _ in range(WAL_SEGMENTS):
            await connection.execute("SELECT pg_logical_emit_message(false, 'age', ''), pg_switch_wal()")
        await connection.execute("CHECKPOINT")
        await asyncio.to_thread(os.sync)  # or the disk is busy with them for the first rounds
    finally:
        await connection.close()


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
    """How many events a database holds that have been applied."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {APPLIED}").fetchone()[0])
    return asyncio.run(_stored(url, "bench_event" if url.endswith("/hand") else APPLIED))


async def _stored(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


def check_stored(trials: Trials, databases: Sequence[str], timeout: float = DRAIN_SECONDS) -> None:
    """Whether all that was answered is there; an event that waits in the spool has some seconds."""
    deadline = time.monotonic() + timeout
    for url in databases:
        while (found := stored(url)) != trials.sent[url]:
            if time.monotonic() > deadline:
                raise LostEventsError(f"{trials.sent[url]} events were answered with 200, {found} are stored")
            time.sleep(0.5)


def run_rates(server: PostgresServer, folder: Path, trials: Trials, size: Size) -> tuple[Outcome, list[str]]:
    """The part that both the quick and the full run have, and what wrk says of the load generator."""
    databases = rates.Addresses(
        hand=make_database(server, "hand", ours=False),
        one=make_database(server, "one"),
        two=make_database(server, "two"),
        lite=f"sqlite:///{folder / 'bench.db'}",
        four=None if size.quick else make_database(server, "four"),
    )
    with ExitStack() as stack:
        servers = rates.start_all(folder, databases, stack)
        others = rates.measure(
            servers, trials, rounds=size.rounds, quick=size.quick, seconds=size.most_seconds
        )
        every = (databases.hand, databases.one, databases.two, databases.four, databases.lite)
        check_stored(trials, [url for url in every if url is not None])
        stateless = {name: servers[name] for name in (rates.NO_OP, rates.VERIFY)}
        compared = [] if size.quick else generator.compare(stateless, trials, folder)
    return Outcome(rates.findings(trials), others), compared


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


def size_chart(grown: growth.Grown) -> Chart:
    line = Line("PostgreSQL at 64 connections", grown.by_size)
    return Chart("Rate with full tables, of that with empty ones", "events stored", "ratio", [line])


def check_disk() -> None:
    """Before anything is made, rather than in the middle."""
    free = shutil.disk_usage(gettempdir()).free / 1024**3
    if free < FREE_DISK_GIB:
        raise SystemExit(f"{free:.0f} GiB are free in {gettempdir()}; the full run needs {FREE_DISK_GIB}.")


def run(size: Size, console: Console) -> Outcome:
    """Measure, show, and write the results. A part that breaks off leaves those before it on paper."""
    if not size.quick:
        check_disk()
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        postgres() as server,
        closing(Generator()) as sender,
    ):
        version = asyncio.run(_version(server.url))
        described = machine.describe(version, {"fsync": "on"} | POSTGRES)
        trials = Trials(sender, server.pid, size.seconds, size.warmup)
        outcome, compared = run_rates(server, Path(folder), trials, size)
        grown = growth.Grown()
        try:
            if not size.quick:
                site = growth.Site(Path(folder), partial(make_database, server), console.print)
                growth.measure(site, trials, grown)
        finally:
            outcome.findings.extend(grown.findings)
            notes = [*NOTES, OTHERS.format(outcome.others), *compared, *grown.notes]
            charts = [rate_chart(trials), *([size_chart(grown)] if grown.by_size else [])]
            write(size, outcome, trials, notes, described, charts)  # first: it needs the least
            show(console, outcome, trials, notes, described)
    return outcome


def show(
    console: Console, outcome: Outcome, trials: Trials, notes: Sequence[str], described: dict[str, str]
) -> None:
    report.show(console, "Goals", report.GOAL_COLUMNS, report.goal_rows(outcome.findings))
    report.show(console, "Rates", report.RATE_COLUMNS, report.rate_rows(trials))
    for line in (*notes, *(f"{name}: {value}" for name, value in described.items())):
        console.print(line, highlight=False)


def write(
    size: Size,
    outcome: Outcome,
    trials: Trials,
    notes: Sequence[str],
    described: dict[str, str],
    charts: Sequence[Chart],
) -> None:
    """The table and the plot, for people to read later."""
    name = "webhooks-quick" if size.quick else "webhooks"
    text = report.markdown("What the webhook carries", outcome.findings, trials, described, notes)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.svg").write_text(svg(charts))


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
    outcome = run(QUICK if options.quick else FULL, console)
    failed = [finding for finding in outcome.findings if finding.fails(outcome.others)]
    for finding in failed:
        console.print(
            f"[red]Far off: {finding.goal.what}: {finding.spread.median:.2f}, {finding.goal.text}[/]"
        )
    return 1 if options.check and failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
