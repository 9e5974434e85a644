"""How much of a body is read, and for how long: the same limits for the webhook and the internal API.

They hold while it comes in, so that nobody can fill the memory, or keep a request open, a byte at a time.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import BodyRefused, PayloadTooLarge, RequestTimeout
from .problems import problem_of

BODY_TIMEOUT_SECONDS = 10.0
"""How long a whole body may take. Stripe sends one in a single piece, and gives up after some 20 s itself."""


def bounded(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive`, which raises once the body is over `limit` bytes or takes too long.

    Raises:
        PayloadTooLarge: as soon as more than `limit` bytes are announced or have come.
        RequestTimeout: when the body is not there in time.
    """
    deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_SECONDS
    size, complete = 0, False

    async def receive_some() -> Message:
        nonlocal size, complete
        if complete:  # what follows is only the client's hanging up
            return await receive()
        if size == 0 and _announced(scope) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(f"The body was not here after {BODY_TIMEOUT_SECONDS:g} s.") from None
        size += len(message.get("body", b""))
        if size > limit:
            raise _too_large(limit)
        complete = not message.get("more_body", False)
        return message

    return receive_some


class BoundedBodies:
    """ASGI middleware that holds the limits for every path under `prefix`."""

    def __init__(self, app: ASGIApp, *, prefix: str, limit: int) -> None:
        self._app = app
        self._prefix = prefix
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not path_of(scope).startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        refused: BodyRefused | None = None
        receive_some = bounded(scope, receive, self._limit)

        async def receive_or_refuse() -> Message:
            nonlocal refused
            try:
                return await receive_some()
            except BodyRefused as error:
                refused = error
                raise

        async def send_unless_refused(message: Message) -> None:
            # FastAPI makes a 400 of whatever happens while it reads a body.
            if refused is None:
                await send(message)

        await self._app(scope, receive_or_refuse, send_unless_refused)
        if refused is not None:
            await problem_of(refused)(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path within the application, also where that is mounted in another."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _announced(scope: Scope) -> int:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    return int(announced[:20]) if announced.isdigit() else 0


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body may have {limit} bytes at most.")
