"""Who may call the internal API: whoever sends one of its keys."""

import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import Depends, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from ..api_keys import find_key
from ..errors import Forbidden, InvalidRequest, Unauthorized, Unavailable
from ..service import Service, service_of
from ..web.problems import REMEDIES, answer_invalid_request, problem
from ..web.routes import WholeParameters

log = structlog.get_logger(__name__)

READING = frozenset({"GET", "HEAD"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Documents the key on the OpenAPI page; the check is `GuardedRoute`'s.
api_key_header = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="A key of INTERNAL_API_KEY; also taken as `Authorization: X-API-Key <key>`.",
)


METHODS: defaultdict[str, set[str]] = defaultdict(set)
"""The methods that each path of the internal API takes: a route knows only its own."""


class GuardedRoute(WholeParameters):
    """Checks the key before the body is even read; a dependency would come after that."""

    def __init__(self, path: str, *args: Any, **options: Any) -> None:
        super().__init__(path, *args, **options)
        METHODS[path] |= self.methods or set()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a method that the address does not take as a problem, also in a host's application."""
        if scope["method"] in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        allowed = ", ".join(sorted(METHODS[self.path]))
        refused = problem(405, "Method Not Allowed", REMEDIES[405], {"Allow": allowed})
        await refused(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request_id = _request_id(request)
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                response = await answered(request)
            response.headers["X-Request-Id"] = request_id
            return response

        async def answered(request: Request) -> Response:
            _check(request)
            try:
                return await handle(request)
            except RequestValidationError as error:
                return await answer_invalid_request(request, error)
            except HTTPException as error:
                if error.status_code != status.HTTP_400_BAD_REQUEST:
                    raise
                # FastAPI's word for a body that is not even text.
                raise InvalidRequest("The body is not JSON in UTF-8. Nothing was changed.") from None
            except Unavailable as error:
                raise await _explained(service_of(request), error) from None
            except Exception as error:
                if not service_of(request).database.lies_under(error):
                    raise
                log.error("database_unavailable", error=type(error).__name__)
                unavailable = Unavailable("The database does not answer now. Send it again later.")
                raise await _explained(service_of(request), unavailable) from None

        return guarded


async def _explained(service: Service, error: Unavailable) -> Unavailable:
    """The error, with the remedy where the database lacks a migration: sending it again would not help."""
    state = await service.readiness()
    return Unavailable(state.database) if state.is_behind and state.database else error


def actor_of(request: Request) -> str:
    """The name of the key that the request was made with."""
    actor: str = request.state.actor
    return actor


Actor = Annotated[str, Depends(actor_of)]
"""Who makes a change, for the audit trail."""


def _request_id(request: Request) -> str:
    """The caller's own, where it can stand in a log line; else a new one."""
    sent = request.headers.get("x-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def _check(request: Request) -> None:
    sent = _sent_key(request)
    if sent is None:
        raise Unauthorized("A key is needed: send X-API-Key with a key of INTERNAL_API_KEY.")
    key = find_key(service_of(request).settings.api_keys, sent)
    if key is None:
        raise Unauthorized("The key fits none of INTERNAL_API_KEY.")
    if key.read_only and request.method not in READING:
        raise Forbidden("This key may only read. Changes need a key of INTERNAL_API_KEY.")
    request.state.actor = key.name


def _sent_key(request: Request) -> bytes | None:
    """The key in `X-API-Key`, or in `Authorization` with the scheme `X-API-Key`, colon or not."""
    # Stripped as bytes: as text, UTF-8's bytes 0x85 and 0xA0 would pass for white space.
    if key := request.headers.get("x-api-key"):
        return key.encode("latin-1").strip()
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower().rstrip(":") == "x-api-key":
        return key.encode("latin-1").strip() or None
    return None
