"""The load generator, a process of its own: ready-made bytes over raw sockets, and as little else as can be.

`python -m benchmarks.load` reads an order (JSON) a line from standard input and writes what it measured.

Closed: every connection sends its next request when it has its answer; a latency runs from send to answer.
Open (with `rate`): requests are due at random times of that mean rate, whether or not the server keeps up; a
latency runs from when the request was due, so what waits for a connection counts (no coordinated omission).
"""

import gc
import json
import random
import re
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .measures import percentile
from .workload import requests

RECEIVE_BYTES = 65_536
LAST_ANSWERS_SECONDS = 30
"""How long the answers may take that are still owed when the time is over."""
END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
STATUS_WORD = re.compile(rb'"status":"(\w+)"')


@dataclass(frozen=True)
class Order:
    """What to send: events `start` to `start + count` of the workload, for so long after the warm-up."""

    port: int
    connections: int
    start: int
    count: int
    seconds: float
    warmup: float = 0.0
    rate: float | None = None
    """Events a second of an open loop; closed when None."""


@dataclass(frozen=True)
class Measured:
    """What came of it. Latencies in milliseconds, of the requests answered after the warm-up."""

    sent: int
    answers: dict[str, int]
    """How many answers by HTTP status and the body's `status`, the warm-up's included."""
    rate: float
    median: float
    p90: float
    p99: float
    worst: float
    cpu_share: float
    """How much of one core the generator took: near 1 it is itself the limit."""


class Connection:
    """One connection and the request that it waits for."""

    __slots__ = ("began", "buffer", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.began = 0.0

    def answer(self) -> bytes | None:
        """What has come, when it is whole."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection before it answered")
        self.buffer += data
        if not is_whole(self.buffer):
            return None
        whole, self.buffer = self.buffer, b""
        return whole


@dataclass
class Log:
    """Answers and latencies, kept raw while the load runs."""

    answers: list[bytes] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)


def is_whole(answer: bytes) -> bool:
    """Whether these bytes are a whole HTTP answer with a Content-Length."""
    head, separator, body = answer.partition(END_OF_HEAD)
    if not separator:
        return False
    length = LENGTH.search(head)
    return len(body) >= (int(length[1]) if length else 0)


def kind_of(answer: bytes) -> str:
    """An answer's HTTP status, and the `status` in its body where it has one."""
    word = STATUS_WORD.search(answer)
    return answer[9:12].decode() + (f" {word[1].decode()}" if word else "")


def due_times(count: int, rate: float, seed: int) -> list[float]:
    """When each request is due, in seconds from the start: independent arrivals (Poisson) of that rate."""
    rng, now, due = random.Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(rate)
        due.append(now)
    return due


class Load:
    """One run of requests over some connections."""

    def __init__(self, order: Order, pending: Sequence[bytes]) -> None:
        self._pending = deque(pending)
        self._due = deque(due_times(order.count, order.rate, order.start) if order.rate else ())
        self._open = order.rate is not None
        self._length = order.warmup + order.seconds
        self._connections = [Connection(order.port) for _ in range(order.connections)]
        self._idle = list(self._connections)
        self._poll = select.epoll()
        self._by_file = {connection.socket.fileno(): connection for connection in self._connections}
        for file in self._by_file:
            self._poll.register(file, select.EPOLLIN)
        self.log = Log()
        self.sent = 0

    def run(self) -> float:
        """Send until the time is over and every answer has come; when it began."""
        began = time.perf_counter()
        last = began + self._length + LAST_ANSWERS_SECONDS
        while True:
            self._send_what_is_due(began)
            if len(self._idle) == len(self._connections) and self._is_over(began):
                break
            if time.perf_counter() > last:
                raise TimeoutError("answers are missing")
            self._receive(began)
        for connection in self._connections:
            connection.socket.close()
        self._poll.close()
        return began

    def _is_over(self, began: float) -> bool:
        return not self._pending or time.perf_counter() - began >= self._length

    def _send_what_is_due(self, began: float) -> None:
        now = time.perf_counter()
        while self._idle and self._pending and now - began < self._length:
            if self._open and began + self._due[0] > now:
                return
            connection = self._idle.pop()
            connection.began = began + self._due.popleft() if self._open else now
            connection.socket.sendall(self._pending.popleft())
            self.sent += 1
            now = time.perf_counter()

    def _receive(self, began: float) -> None:
        wait = 1.0
        if self._open and self._due and self._idle:
            wait = max(0.0, began + self._due[0] - time.perf_counter())
        for file, _ in self._poll.poll(min(wait, 1.0)):
            connection = self._by_file[file]
            answer = connection.answer()
            if answer is None:
                continue
            self.log.ended.append(time.perf_counter())
            self.log.began.append(connection.began)
            self.log.answers.append(answer)
            self._idle.append(connection)


def run(order: Order) -> Measured:
    """Carry out one order."""
    pending = requests(order.start, order.count, int(time.time()))
    gc.collect()
    gc.disable()  # a pause of ours would be taken for the server's
    load = Load(order, pending)
    cpu = time.process_time()
    began = load.run()
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - began)
    gc.enable()
    return measured(
        load.log, load.sent, began + order.warmup, began + order.warmup + order.seconds, cpu_share
    )


def measured(log: Log, sent: int, start: float, end: float, cpu_share: float) -> Measured:
    """Rate and latencies between two times; what is answered after the end is counted, but not timed."""
    timed = [
        (answered, (answered - began) * 1000)
        for answered, began in zip(log.ended, log.began, strict=True)
        if start <= answered <= end
    ]
    if not timed:
        raise RuntimeError("nothing was answered within the time")
    latencies = sorted(latency for _, latency in timed)
    # Where the events ran out before the time did, the time until then.
    length = (end if log.ended[-1] > end else log.ended[-1]) - start
    return Measured(
        sent=sent,
        answers=dict(Counter(map(kind_of, log.answers))),
        rate=len(timed) / length,
        median=percentile(latencies, 50),
        p90=percentile(latencies, 90),
        p99=percentile(latencies, 99),
        worst=latencies[-1],
        cpu_share=cpu_share,
    )


def main() -> None:
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        sys.stdout.write(json.dumps(asdict(run(Order(**order)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
