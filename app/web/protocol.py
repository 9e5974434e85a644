"""HTTP/1.1 as uvicorn speaks it, with a size limit for the header section and an end for every connection.

Uvicorn itself waits without limit for a header section, for a body, and for a client that does not read its
answer. Here each of these phases has one deadline, which begins with the phase and which no byte puts off for
ever. Near the limit of file descriptors the connection that waits longest is closed in favour of a new one.
While the application works on a request there is no deadline: that is the server's own time.
"""

import asyncio
import http
import os
import resource
import time
from enum import Enum
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ..observability import metrics
from .answers import AnswerTransport
from .server import MARK

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers. Stripe's are under 2 KB."""
HEAD_TIMEOUT_SECONDS = 10.0
"""How long a connection may take for a header section, its first byte included."""
BODY_TIMEOUT_SECONDS = 15.0
"""How long a body may take, plus one second for each BYTES_PER_SECOND that have come. The webhook and the
internal API have a shorter limit of their own (bodies.py), and their 408 says why."""
ANSWER_TIMEOUT_SECONDS = 30.0
"""How long a client may take to read what is to be sent. Who reads BYTES_PER_SECOND meanwhile may go on."""
BYTES_PER_SECOND = 16 * 1024
"""The slowest transfer that is waited for."""
CHECK_SECONDS = 0.5
"""How often a connection's deadline is looked at: a timer for each phase would cost more than the phase."""
RESERVED_SHARE, MAX_RESERVED = 8, 256
"""An eighth of all file descriptors, at most so many, is kept for the database, the spool and the log."""
DESCRIPTORS = "/dev/fd"
COUNT_EVERY_SECONDS, WARN_EVERY_SECONDS = 1.0, 60.0


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"
    APPLICATION = "application"
    READER = "reader"
    """The client has not read what was sent; no more is kept for it."""
    NEXT_REQUEST = "next request"
    CLOSING = "closing"
    """Closed on our side, except for what the client has yet to read."""
    HANDED_OVER = "handed over"
    """To another protocol, such as WebSocket."""


REASONS = {
    Phase.HEAD: "slow_head",
    Phase.BODY: "slow_body",
    Phase.READER: "slow_reader",
    Phase.CLOSING: "slow_reader",
}
"""What the metric calls the end of a phase whose deadline has passed."""


class Waiting:
    """The connections of one server that wait for their client, the longest wait first."""

    def __init__(self) -> None:
        self._connections: dict[BoundedHttp, None] = {}
        self._counted_at = self._warned_at = -inf
        self._others = 0
        """Descriptors of this process that are no connections, when they were last counted."""

    def add(self, connection: "BoundedHttp") -> None:
        self._connections[connection] = None

    def remove(self, connection: "BoundedHttp") -> None:
        self._connections.pop(connection, None)

    def make_room(self, count: int) -> None:
        """Close the longest wait if so many connections bring the process near its limit of descriptors."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY or count < limit // 2 or count < self._most(limit, count):
            return
        oldest = next(iter(self._connections), None)
        if oldest is None:
            return
        self.remove(oldest)
        oldest.give_way()
        if time.monotonic() - self._warned_at >= WARN_EVERY_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("connections_near_the_limit", descriptors=limit, remedy="raise the limit: ulimit -n")

    def _most(self, limit: int, count: int) -> int:
        """How many connections there may be."""
        if time.monotonic() - self._counted_at >= COUNT_EVERY_SECONDS:
            self._counted_at = time.monotonic()
            self._others = max(_open_descriptors() - count, 0)
        return limit - self._others - min(limit // RESERVED_SHARE, MAX_RESERVED)


def _open_descriptors() -> int:
    try:
        with os.scandir(DESCRIPTORS) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


_waiting: WeakKeyDictionary[ServerState, Waiting] = WeakKeyDictionary()


class BoundedHttp(HttpToolsProtocol):
    """Refuses what is too large (431) or too slow (408) to come; closes what is too slow after that."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app_state[MARK] = True
        self._waiting = _waiting.setdefault(self.server_state, Waiting())
        self._phase: Phase | None = None
        self._deadline = inf
        self._unsent_before = 0
        """Bytes, when the deadline was set."""
        self._check: asyncio.TimerHandle | None = None
        self._between_messages = True
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting.make_room(len(self.connections))
        self._follow()
        self._check_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A piece that begins inside a body may end inside the next head; that much of it counts for nothing.
        of_head = self._between_messages or self._in_head
        super().data_received(data)
        if self._in_head and of_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431)
        self._follow()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between_messages, self._in_head, self._head_bytes = False, True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(431)
            raise ValueError("the header section is too large")  # ends the parser's work on this piece
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.scope["method"] != "HEAD":
            self.cycle.transport = AnswerTransport(self.transport)

    def on_body(self, body: bytes) -> None:
        if self._phase is Phase.BODY:
            self._deadline += len(body) / BYTES_PER_SECOND
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._between_messages = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._follow()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._follow()

    def handle_websocket_upgrade(self) -> None:
        self._stop()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def give_way(self) -> None:
        """End at once: another connection needs the file descriptor."""
        metrics.connection_ended("no_room")
        self.transport.abort()

    def _phase_now(self) -> Phase:
        cycle = self.cycle  # of the latest request
        if self.transport.is_closing():
            return Phase.CLOSING
        if self.flow.write_paused:
            return Phase.READER
        if self.pipeline:
            return Phase.APPLICATION
        if cycle is not None and not cycle.response_complete:
            return Phase.BODY if cycle.more_body else Phase.APPLICATION
        return Phase.HEAD if cycle is None or self._in_head else Phase.NEXT_REQUEST

    def _follow(self) -> None:
        """Give a new phase its deadline. Called after whatever may have begun one."""
        if self._phase is Phase.HANDED_OVER or (phase := self._phase_now()) is self._phase:
            return
        self._phase = phase
        self._deadline = self.loop.time() + self._seconds(phase)
        self._unsent_before = self._unsent()
        self._waiting.remove(self)
        if phase is not Phase.APPLICATION:
            self._waiting.add(self)

    def _seconds(self, phase: Phase) -> float:
        match phase:
            case Phase.HEAD:
                return HEAD_TIMEOUT_SECONDS
            case Phase.BODY:
                return BODY_TIMEOUT_SECONDS
            case Phase.NEXT_REQUEST:
                return self.timeout_keep_alive
            case Phase.READER | Phase.CLOSING:
                return ANSWER_TIMEOUT_SECONDS
            case _:
                return inf

    def _check_later(self) -> None:
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_deadline)

    def _check_deadline(self) -> None:
        self._follow()  # an application that fails in its answer closes the connection, and calls nobody
        if self.loop.time() >= self._deadline:
            self._end()
        self._check_later()

    def _end(self) -> None:
        """The deadline has passed."""
        phase = self._phase_now()
        if self._may_go_on(phase):
            self._deadline = self.loop.time() + self._seconds(phase)
            self._unsent_before = self._unsent()
            return
        if reason := REASONS.get(phase):
            metrics.connection_ended(reason)
        if phase is Phase.HEAD or (phase is Phase.BODY and not self.cycle.response_started):
            self._refuse(408)
        elif self._unsent() or phase is Phase.CLOSING:
            self.transport.abort()
        else:
            self.transport.close()

    def _may_go_on(self, phase: Phase) -> bool:
        if phase is Phase.BODY:  # it may be the application that does not read
            return self.flow.read_paused or self.cycle.waiting_for_100_continue
        read = self._unsent_before - self._unsent()
        return phase in (Phase.READER, Phase.CLOSING) and read >= ANSWER_TIMEOUT_SECONDS * BYTES_PER_SECOND

    def _refuse(self, code: int) -> None:
        status = http.HTTPStatus(code)
        head = f"HTTP/1.1 {code} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True  # what the application still answers is not sent behind it

    def _unsent(self) -> int:
        """Bytes that wait here for the client to read."""
        return self.transport.get_write_buffer_size()

    def _stop(self) -> None:
        """This protocol has nothing more to do with the connection."""
        self._phase = Phase.HANDED_OVER
        self._waiting.remove(self)
        if self._check is not None:
            self._check.cancel()
