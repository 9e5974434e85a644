"""Who may call the internal API: whoever sends one of its keys."""

import hmac
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from ...errors import InvalidRequest, Unauthorized
from ...problems import answer_invalid_request
from ...service import service_of

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

        return guarded


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
    if key := request.headers.get("x-api-key"):
        return key.strip().encode("latin-1")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower().rstrip(":") == "x-api-key" and key.strip():
        return key.strip().encode("latin-1")
    return None
