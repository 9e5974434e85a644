"""Before every page: security headers, a limit on the size of forms, and answers for unexpected errors."""

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..db import Database
from ..observability.redaction import described

MAX_FORM_BYTES = 64 * 1024

HEADERS = {
    # No script may run: the screen has none.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


TOO_LARGE = "The form is too large. Nothing was changed."
NO_DATABASE = (
    "The database does not answer now; /readyz says more. Look what was changed before you try again."
)
UNEXPECTED = "Something here failed; the log has it. Look what was changed before you try again."

log = structlog.get_logger(__name__)


class TooLarge(Exception):
    """The request body is larger than any form of the screen."""


class AdminMiddleware:
    """An ASGI middleware. `database` knows which errors mean that the database is down."""

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, _bounded(receive), send_with_headers)
        except Exception as error:
            if started:
                raise
            await self._answer(error)(scope, receive, send_with_headers)

    def _answer(self, error: Exception) -> PlainTextResponse:
        if isinstance(error, TooLarge):
            return PlainTextResponse(TOO_LARGE, 413)
        if self._database.lies_under(error):
            log.error("database_unavailable", error=type(error).__name__)
            return PlainTextResponse(NO_DATABASE, 503, {"Retry-After": "5"})
        log.error("admin_page_failed", raised=described(error))
        return PlainTextResponse(UNEXPECTED, 500)


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def receive_bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_FORM_BYTES:
            raise TooLarge
        return message

    return receive_bounded
