"""HTTP/1.1 as uvicorn speaks it, with limits for the one part that has none there: the header section."""

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers. Stripe's are under 2 KB."""
HEAD_TIMEOUT_SECONDS = 10.0
"""How long a connection may take over them, its first byte included."""


class BoundedHttp(HttpToolsProtocol):
    """Refuses a header section that is too large (431) or too slow (408), and closes the connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._between_messages = True
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A piece that begins inside a body may end inside the next head; that much of it counts for nothing.
        of_head = self._between_messages or self._in_head
        super().data_received(data)
        if self._in_head:
            if of_head:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                    self._refuse(431)
            if self._head_timer is None and not self.transport.is_closing():
                self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between_messages, self._in_head, self._head_bytes = False, True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(431)
            raise ValueError("the header section is too large")  # ends the parser's work on this piece
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._between_messages = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse(self, code: int) -> None:
        self._stop_timer()
        status = http.HTTPStatus(code)
        head = f"HTTP/1.1 {code} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._refuse(408)
