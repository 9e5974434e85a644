"""Who may call the internal API: whoever sends one of its keys."""

import hmac
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from ...errors import InvalidRequest, Unauthorized, Unavailable
from ...problems import answer_invalid_request
from ...service import service_of

log = structlog.get_logger(__name__)

# Documents the key on the OpenAPI page; the check is `GuardedRoute`'s.
api_key_header = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="A key of INTERNAL_API_KEY; also taken as `Authorization: X-API-Key <key>`.",
)


class GuardedRoute(APIRoute):
    """Checks the key before the body is even read; a dependency would come after that."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
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
            except Exception as error:
                if not _is_unavailable(request, error):
                    raise
                log.error("database_unavailable", error=type(error).__name__)
                raise Unavailable("The database does not answer now. Send it again later.") from None

        return guarded


def _is_unavailable(request: Request, error: BaseException | None) -> bool:
    """Whether the database's own error is what lies under SQLAlchemy's."""
    database = service_of(request).database
    while error is not None:
        if database.is_unavailable(error):
            return True
        error = error.__cause__
    return False


def _check(request: Request) -> None:
    sent = _sent_key(request)
    if sent is None:
        raise Unauthorized("A key is needed: send X-API-Key with a key of INTERNAL_API_KEY.")
    keys = service_of(request).settings.internal_api_key
    # Every key is compared, so that the time tells neither which one fits nor how well.
    matches = [hmac.compare_digest(sent, key.get_secret_value().encode()) for key in keys]
    if not any(matches):
        raise Unauthorized("The key fits none of INTERNAL_API_KEY.")


def _sent_key(request: Request) -> bytes | None:
    """The key in `X-API-Key`, or in `Authorization` with the scheme `X-API-Key`, colon or not."""
    # Stripped as bytes: as text, UTF-8's bytes 0x85 and 0xA0 would pass for white space.
    if key := request.headers.get("x-api-key"):
        return key.encode("latin-1").strip()
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower().rstrip(":") == "x-api-key":
        return key.encode("latin-1").strip() or None
    return None
