"""An answer's head goes out together with the first part of its body: one system call, one TCP segment.

Uvicorn writes the head at once, and uvloop sends at once whatever is written. Here the head waits for the
rest of the event loop's turn, in which nearly every application sends the body too. A stream's head does not
wait for its first part.
"""

import asyncio

INTERIM = b"HTTP/1.1 100 "
"""How an interim answer begins. The client waits for it to send its body; the final answer follows."""


class AnswerTransport(asyncio.Transport):
    """The transport of one answer. Its body may be empty."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head: bytes | None = None
        """None until it was written; empty once it has gone out."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is None and data[: len(INTERIM)] != INTERIM:
            self._head = bytes(data)
            asyncio.get_running_loop().call_soon(self._send_head)
            return
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection. The head of an application that fails before its body goes out."""
        self._send_head()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
