"""What must not grow: the cost with full tables, with pruning beside, of a backlog, and the process's memory.

Each is measured in turns with what it is compared to. A process that must wait for its turn is stopped as a
whole (SIGSTOP), so that the pruning and the worker's work can be taken in the same small rounds.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from app.worker.pruning import PRUNE_STEP
from tests.databases import run_sql

from .measures import Finding, Goal, Spread, ratios
from .seeding import EVENTS_A_SUBSCRIPTION, add_backlog, count, seed
from .servers import Process, Server, project, worker
from .trials import Trials

STAGES = (20_000, 200_000, 2_000_000)
"""Subscriptions; five times as many events."""
OLD_EVENTS = 1_000_000
ROUNDS = 5
CONNECTIONS = 64
RETENTION_DAYS = 90
LEAST_PRUNED = ROUNDS * 2 * PRUNE_STEP
"""Some steps in each round, or the rate is not that while old events are pruned."""
MEMORY_EVENTS = 200_000
CHUNK_EVENTS = 20_000
"""The load generator has the bytes of all events that it sends at once in its memory."""
BACKLOG_EVENTS = 100_000
DRAIN_SECONDS = 3.0
"""Shorter than what a batch is given: a worker that is stopped in the middle of one must not lose it."""
MOST_DRAIN_ROUNDS = 200
WARM_EVENTS = 1000
BEGIN_SECONDS = 30
FAILED = "state = 'failed'"
EMPTY = "empty tables"
TRUNCATE = (
    "TRUNCATE billing_event, billing_subscription, billing_customer, billing_invoice, billing_user, "
    "billing_record_history"
)
OLD = f"received_at < extract(epoch FROM now()) - {RETENTION_DAYS} * 86400"

FLAT = Goal(
    "Rate with 2,000,000 subscriptions and 10,000,000 events, of that with empty tables", "at least", 0.75
)
PRUNING = Goal("Rate while 1,000,000 old events are pruned, of that without", "at least", 0.9)
DRAINING = Goal("Draining 100,000 failed events, of the rate of taking events in", "at least", 1.0)
MEMORY = Goal("Memory after 200,000 events, over idle", "at most", 50.0, unit=" MiB", checked="never")


@dataclass(frozen=True)
class Site:
    """Where servers and databases are made, and where progress is reported."""

    folder: Path
    make_database: Callable[[str], str]
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Grown:
    """What has been found so far, and the rate by the number of events stored."""

    findings: list[Finding] = field(default_factory=list)
    by_size: list[tuple[str, Spread]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def measure(site: Site, trials: Trials, grown: Grown) -> None:
    """All of it; takes minutes and gigabytes. What is found is added to `grown` at once."""
    with ExitStack() as stack:

        def started(name: str, url: str, **options: int) -> Server:
            server = project(name, url, site.folder, **options)
            stack.callback(server.stop)
            return server

        empty = started(EMPTY, site.make_database("empty"))
        site.tell(f"Memory: {MEMORY_EVENTS:,} events")
        _memory(empty, trials, grown)
        full = started("full tables", site.make_database("grown"))
        for done, stage in pairwise((0, *STAGES)):
            site.tell(f"Full tables: {stage:,} subscriptions")
            _at_size(range(done, stage), full, empty, trials, grown)
        grown.findings.append(Finding(FLAT, grown.by_size[-1][1]))
        pruner = started("while pruning", full.data, retention_days=RETENTION_DAYS)
        site.tell("Pruning")
        _pruning(pruner, full, trials, grown)
        backlog = site.make_database("backlog")
        drainer = worker(backlog, site.folder)
        stack.callback(drainer.stop)
        site.tell(f"A backlog of {BACKLOG_EVENTS:,} events")
        _draining(drainer, backlog, empty, trials, grown)


def _memory(server: Server, trials: Trials, grown: Grown) -> None:
    idle = server.memory()
    for _ in range(0, MEMORY_EVENTS, CHUNK_EVENTS):
        trials.send_all(server, CHUNK_EVENTS, CONNECTIONS)
    growth = server.memory() - idle
    grown.findings.append(Finding(MEMORY, Spread(growth, growth, growth)))
    grown.notes.append(
        f"Memory: {idle:.0f} MiB idle, {idle + growth:.0f} MiB after {MEMORY_EVENTS:,} events."
    )


def _at_size(added: range, full: Server, empty: Server, trials: Trials, grown: Grown) -> None:
    """The rate of the fuller tables to that of the empty ones."""
    asyncio.run(seed(full.data, added, OLD_EVENTS, int(time.time())))
    asyncio.run(run_sql(empty.data, TRUNCATE))
    rates = _in_turns(full, empty, trials)
    grown.by_size.append((f"{added.stop * EVENTS_A_SUBSCRIPTION:,}", rates))


def _in_turns(server: Server, other: Server, trials: Trials) -> Spread:
    """The rate of one server to that of another, which swap places each round."""
    rates: dict[str, list[float]] = {server.name: [], other.name: []}
    for one in (server, other):
        trials.send_all(one, WARM_EVENTS)
    for round in range(ROUNDS):
        for one in (server, other) if round % 2 else (other, server):
            rates[one.name].append(trials.run(one, CONNECTIONS).measured.rate)
    return ratios(rates[server.name], rates[other.name])


def _pruning(pruner: Server, full: Server, trials: Trials, grown: Grown) -> None:
    """The pruner is stopped while the other is measured; both serve the same tables."""
    pruner.pause()
    before, rates, others = asyncio.run(count(full.data, OLD)), [], []
    for _ in range(ROUNDS):
        others.append(trials.run(full, CONNECTIONS).measured.rate)
        pruner.resume()
        rates.append(trials.run(pruner, CONNECTIONS).measured.rate)
        pruner.pause()
    pruned = before - asyncio.run(count(full.data, OLD))
    if pruned < LEAST_PRUNED:
        raise RuntimeError(f"{pruned:,} were pruned, {LEAST_PRUNED:,} are the least: nothing was measured")
    grown.findings.append(Finding(PRUNING, ratios(rates, others)))
    grown.notes.append(f"Pruned meanwhile: {pruned:,} of {before:,} old events.")


def _draining(drainer: Process, url: str, intake: Server, trials: Trials, grown: Grown) -> None:
    """The worker has its turns until nothing is left, each beside a turn of taking events in."""
    drainer.pause()
    asyncio.run(add_backlog(url, 0, BACKLOG_EVENTS))
    left = _begin(drainer, url)
    drained: list[float] = []
    taken: list[float] = []
    for _ in range(MOST_DRAIN_ROUNDS):
        drainer.resume()
        time.sleep(DRAIN_SECONDS)
        drainer.pause()
        before, left = left, asyncio.run(count(url, FAILED))
        if left == 0 and drained:
            break  # this turn was not filled
        drained.append((before - left) / DRAIN_SECONDS)
        taken.append(trials.run(intake, CONNECTIONS).measured.rate)
    grown.findings.append(Finding(DRAINING, ratios(drained, taken)))
    grown.notes.append(
        f"The backlog took {len(drained)} full turns of {DRAIN_SECONDS:g} s; {left:,} are left."
    )


def _begin(drainer: Process, url: str) -> int:
    """Let the worker find the backlog, which it looks for once a second; how much is left then."""
    drainer.resume()
    deadline = time.monotonic() + BEGIN_SECONDS
    while (left := asyncio.run(count(url, FAILED))) == BACKLOG_EVENTS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker took nothing:\n{drainer.log.read_text()[-2000:]}")
        time.sleep(0.1)
    drainer.pause()
    return left
