"""Whether the HTTP server ends every connection, as protocol.py does: seen on the first request."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

MARK: Final = "billing_connections_end"
"""A key of `scope["state"]`, put there by a server that ends every connection."""


def ends_connections(scope: Scope) -> bool | None:
    """None where nothing can be said: a test client has no connections."""
    state = scope.get("state")
    return None if state is None else MARK in state


class OnFirstRequest:
    """ASGI middleware that says, once, whether the server ends every connection."""

    def __init__(self, app: ASGIApp, *, notify: Callable[[bool], object]) -> None:
        self._app = app
        self._notify: Callable[[bool], object] | None = notify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._notify is not None and scope["type"] == "http":
            notify, self._notify = self._notify, None
            if (ends := ends_connections(scope)) is not None:
                notify(ends)
        await self._app(scope, receive, send)
