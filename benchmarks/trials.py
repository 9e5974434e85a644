"""One trial: a load on one server, and a look at what it left behind."""

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, replace

from .load import Measured, Order
from .servers import ROOT, Server, processor_seconds

HIGHEST_RATE, HIGHEST_RATE_STORED = 9_000, 5_000
"""Events a second for which requests are made beforehand; a faster server has them all before its time."""
OPEN = 0
MOST_SECONDS = 900
ACCEPTED = {"200 processed", "200 verified", "200 deferred"}
"""A machine that stalls for seconds defers an event to the spool; it is looked for in the end."""


class LostEventsError(RuntimeError):
    """An event was not answered as it should be, or was answered and is not there."""


class Generator:
    """The load generator's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, order: Order) -> Measured:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the load generator ended; its error is above")
        return Measured(**json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass(frozen=True)
class Trial:
    """What a trial measured: the client's numbers, and processor time in microseconds for an event."""

    measured: Measured
    server_cpu: float
    database_cpu: float


class Trials:
    """All trials of a run, by server and connections (0: the open loop). No database gets an event twice."""

    def __init__(self, generator: Generator, postgres_pid: int, seconds: float, warmup: float) -> None:
        self._generator = generator
        self._postgres_pid = postgres_pid
        self._seconds = seconds
        self._warmup = warmup
        self.by_case: dict[tuple[str, int], list[Trial]] = defaultdict(list)
        self.sent: dict[str, int] = defaultdict(int)
        """How many events each database has been sent, or each server without one."""

    def run(self, server: Server, connections: int) -> Trial:
        """A closed loop; kept under the server's name."""
        highest = HIGHEST_RATE if server.data == server.name else HIGHEST_RATE_STORED
        count = int((self._seconds + self._warmup) * highest)
        order = Order(server.port, connections, 0, count, self._seconds, self._warmup)
        return self._keep(server, connections, order)

    def run_count(self, server: Server, connections: int, count: int) -> Trial:
        """A closed loop of so many events, for a server that would have them all too soon."""
        return self._keep(server, connections, Order(server.port, connections, 0, count, MOST_SECONDS))

    def run_open(self, server: Server, rate: float, connections: int) -> Trial:
        """An open loop at this rate, over at most so many connections."""
        count = int((self._seconds + self._warmup) * rate * 1.5)
        order = Order(server.port, connections, 0, count, self._seconds, self._warmup, rate)
        return self._keep(server, OPEN, order)

    def send_all(self, server: Server, count: int, connections: int = 64) -> Measured:
        """So many events, however long they take; not kept."""
        return self._send(server, Order(server.port, connections, 0, count, MOST_SECONDS))

    def _keep(self, server: Server, connections: int, order: Order) -> Trial:
        server_before, database_before = server.processor_seconds(), processor_seconds(self._postgres_pid)
        measured = self._send(server, order)
        trial = Trial(
            measured,
            (server.processor_seconds() - server_before) / measured.sent * 1e6,
            (processor_seconds(self._postgres_pid) - database_before) / measured.sent * 1e6,
        )
        self.by_case[server.name, connections].append(trial)
        return trial

    def _send(self, server: Server, order: Order) -> Measured:
        measured = self._generator.send(replace(order, start=self.sent[server.data]))
        if unexpected := {kind: n for kind, n in measured.answers.items() if kind not in ACCEPTED}:
            raise LostEventsError(f"{server.name} answered {unexpected}")
        self.sent[server.data] += measured.sent
        return measured

    def rates(self, name: str, connections: int) -> list[float]:
        return [trial.measured.rate for trial in self.by_case[name, connections]]

    def medians(self, name: str, connections: int) -> list[float]:
        return [trial.measured.median for trial in self.by_case[name, connections]]

    def p99s(self, name: str, connections: int) -> list[float]:
        return [trial.measured.p99 for trial in self.by_case[name, connections]]

    def cpu(self, name: str, connections: int) -> list[float]:
        return [trial.server_cpu for trial in self.by_case[name, connections]]

    def database_cpu(self, name: str, connections: int) -> list[float]:
        return [trial.database_cpu for trial in self.by_case[name, connections]]

    def all_cpu(self, name: str, connections: int) -> list[float]:
        return [trial.server_cpu + trial.database_cpu for trial in self.by_case[name, connections]]
