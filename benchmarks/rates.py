"""Rates and latencies of every server, in turns: each round measures all of them, the next in reverse."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .machine import Usage
from .measures import Finding, Goal, ratios, spread
from .servers import Server, baseline, project
from .trials import OPEN, Trials

NO_OP, VERIFY, HAND, ONE, TWO, FOUR, LITE = (
    "no-op",
    "verify-only",
    "hand-written",
    "PostgreSQL",
    "PostgreSQL, two processes",
    "PostgreSQL, four processes",
    "SQLite",
)
SERVERS = (NO_OP, VERIFY, HAND, ONE, TWO, FOUR, LITE)
CONNECTIONS = (1, 16, 64)
QUICK_CASES = {VERIFY: CONNECTIONS, HAND: (1,), ONE: CONNECTIONS, TWO: (64,), LITE: (64,)}
FULL_CASES = {**dict.fromkeys((VERIFY, HAND, ONE, TWO, LITE), CONNECTIONS), FOUR: (64,)}
OPEN_RATE = 830.0
WARM_EVENTS = 1000
NO_OP_EVENTS = 20_000
LEAST_ROUNDS = 2

AT_64 = Goal("PostgreSQL, of verify-only's rate at 64 connections", "at least", 0.55, aim=0.70)
AT_16 = Goal(
    "PostgreSQL, of verify-only's rate at 16 connections",
    "at least",
    0.35,
    aim=0.50,
    checked="never",  # where so few wait for a commit, the disk decides
)
LITE_AT_64 = Goal("SQLite, of verify-only's rate at 64 connections", "at least", 0.40, aim=0.55)
SERVER_AT_64 = Goal(
    "Server's processor time of an event at 64 connections, to verify-only's", "at most", 1.0, checked="never"
)
SERVER_AT_16 = Goal(
    "Server's processor time of an event at 16 connections, to verify-only's", "at most", 1.3, checked="never"
)
DATABASE_AT_64 = Goal(
    "PostgreSQL's processor time of an event at 64 connections, to verify-only's own",
    "at most",
    0.53,  # 70 µs, where verify-only takes 133
    checked="never",
)
TWO_AT_64 = Goal("Two processes on PostgreSQL, of one's rate at 64 connections", "at least", 0.9)
MEDIAN_AT_1 = Goal("Median at 1 connection, to the hand-written transaction's", "at most", 2.0)
BATCHED = Goal(
    "Processor time of an event (server and PostgreSQL) at 64 connections, of that at 1",
    "at most",
    0.4,
    checked="always",
)
TAIL_AT_64 = Goal("p99 at 64 connections, to its own median", "at most", 3.0, checked="never")
TAIL_OPEN = Goal("p99 at an offered 830 events/s (open loop)", "at most", 50.0, unit=" ms", checked="never")
GENERATOR = Goal("Load generator on a no-op server, of verify-only's rate", "at least", 2.0, checked="never")


@dataclass(frozen=True)
class Addresses:
    """The databases, one for each server that needs one."""

    hand: str
    one: str
    two: str
    lite: str
    four: str | None = None
    """None in a quick run, which leaves these servers out."""


def start_all(folder: Path, databases: Addresses, stack: ExitStack) -> dict[str, Server]:
    """The servers by their names, stopped by the stack."""
    servers: dict[str, Server] = {}

    def keep(server: Server) -> None:
        stack.callback(server.stop)
        servers[server.name] = server

    keep(baseline(NO_OP, folder))
    keep(baseline(VERIFY, folder))
    keep(baseline(HAND, folder, databases.hand))
    keep(project(ONE, databases.one, folder))
    keep(project(TWO, databases.two, folder, workers=2))
    keep(project(LITE, databases.lite, folder))
    if databases.four is not None:
        keep(project(FOUR, databases.four, folder, workers=4))
    return servers


def turns(cases: Mapping[str, Sequence[int]], round: int) -> Iterator[tuple[str, int]]:
    """Who is measured when: by connections, so that those that are compared follow each other."""
    names = list(cases) if round % 2 == 0 else list(cases)[::-1]
    for connections in CONNECTIONS:
        yield from ((name, connections) for name in names if connections in cases[name])


def measure(servers: dict[str, Server], trials: Trials, *, rounds: int, quick: bool, seconds: float) -> float:
    """All rounds that begin in so many seconds, two at least; what others took of the machine (0 to 1)"""
    cases: Mapping[str, Sequence[int]] = QUICK_CASES if quick else FULL_CASES
    for server in servers.values():
        trials.send_all(server, WARM_EVENTS)
    usage = Usage()
    for round in range(rounds):
        if round >= LEAST_ROUNDS and usage.seconds() > seconds:
            break
        for name, connections in turns(cases, round):
            trials.run(servers[name], connections)
        trials.run_count(servers[NO_OP], 64, NO_OP_EVENTS)
        for name in (ONE, VERIFY):
            trials.run_open(servers[name], OPEN_RATE, 64)
    return usage.others()


def findings(trials: Trials) -> list[Finding]:
    verify_64, verify_16 = trials.rates(VERIFY, 64), trials.rates(VERIFY, 16)
    own_64, own_16 = trials.cpu(VERIFY, 64), trials.cpu(VERIFY, 16)
    return [
        Finding(AT_64, ratios(trials.rates(ONE, 64), verify_64)),
        Finding(AT_16, ratios(trials.rates(ONE, 16), verify_16)),
        Finding(LITE_AT_64, ratios(trials.rates(LITE, 64), verify_64)),
        Finding(SERVER_AT_64, ratios(trials.cpu(ONE, 64), own_64)),
        Finding(SERVER_AT_16, ratios(trials.cpu(ONE, 16), own_16)),
        Finding(DATABASE_AT_64, ratios(trials.database_cpu(ONE, 64), own_64)),
        Finding(TWO_AT_64, ratios(trials.rates(TWO, 64), trials.rates(ONE, 64))),
        Finding(MEDIAN_AT_1, ratios(trials.medians(ONE, 1), trials.medians(HAND, 1))),
        Finding(BATCHED, ratios(trials.all_cpu(ONE, 64), trials.all_cpu(ONE, 1))),
        Finding(TAIL_AT_64, ratios(trials.p99s(ONE, 64), trials.medians(ONE, 64))),
        Finding(TAIL_OPEN, spread(trials.p99s(ONE, OPEN))),
        Finding(GENERATOR, ratios(trials.rates(NO_OP, 64), verify_64)),
    ]
