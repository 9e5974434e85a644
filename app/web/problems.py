"""Errors as problem+json (RFC 9457), everywhere the same."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Denied, ServiceError
from ..observability.redaction import described

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

UNEXPECTED = "Something here failed; the log has it under this request's time."
REMEDIES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the header Allow names those that it takes.",
}


def problem(
    status: int, title: str, detail: str, headers: dict[str, str] | None = None, **facts: Any
) -> Response:
    """A problem as a response; the facts are members of their own beside the standard ones."""
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail} | facts
    try:
        content = orjson.dumps(members)
    except TypeError:  # a lone surrogate, in the name of a field that somebody made up
        content = json.dumps(members).encode()
    return Response(content, status, headers, MEDIA_TYPE)


def problem_of(error: ServiceError) -> Response:
    status = error.http_status if isinstance(error, Denied) else error.status
    return problem(status, error.title, error.detail, error.headers, **error.facts)


def install_error_handlers(app: FastAPI) -> None:
    """Render the errors of routing and of validation as problems, too, and what nobody expected."""
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(UnexpectedErrors)


async def answer_service_error(request: Request, error: Exception) -> Response:
    """An error of this service as a problem; `install` adds it to an application."""
    assert isinstance(error, ServiceError)
    return problem_of(error)


async def answer_invalid_request(request: Request, error: Exception) -> Response:
    """A request that is not as described, with each field that is wrong."""
    assert isinstance(error, RequestValidationError)
    # Never the input itself: it may hold what does not belong into a log or an answer.
    faults = [_fault(fault, error.body) for fault in error.errors()]
    detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
    if "json" not in request.headers.get("content-type", "") and request.method != "GET":
        detail += ". Send the body as JSON, with the header Content-Type: application/json"
    return problem(422, "Invalid request", f"Nothing was changed. {detail}", errors=faults)


def _fault(fault: Mapping[str, Any], body: Any) -> dict[str, str]:
    if fault["type"] == "json_invalid" and isinstance(body, str):
        place = json.JSONDecodeError(fault["ctx"]["error"], body, fault["loc"][-1])
        message = f"It is not JSON: {place.msg} (line {place.lineno}, column {place.colno})"
        return {"field": "body", "message": message}
    return {"field": ".".join(str(part) for part in fault["loc"][1:]) or "body", "message": fault["msg"]}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = str(error.detail)
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, title, REMEDIES.get(error.status_code, title), headers)


class UnexpectedErrors:
    """ASGI middleware: what nobody expected is logged, without its message, and answered with 500.

    Starlette's own way would raise it again, for the server to write it out with all that it says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            log.info("client_disconnected", method=scope["method"])
        except Exception as error:
            log.error("unexpected_error", method=scope["method"], raised=described(error))
            if not started:
                await problem(500, "Internal error", UNEXPECTED)(scope, receive, send)
