"""Stripe's HTTP API around an account, as an ASGI application."""

import logging
import random
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import NamedTuple, TypedDict

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..account import Account
from ..shapes import NEW, OLD, Shape
from . import checkouts, forms, portal
from .call import Call, PortalPage
from .catalogue import Catalogue
from .errors import ApiError, invalid, not_played
from .faults import ApiFaults, Fault, Traffic
from .idempotency import Answer, Answers
from .keys import mode_of
from .official import declares
from .routes import Handler, route

logger = logging.getLogger(__name__)

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
APIS = ("/v1/", "/v2/")
FIRST_NEW = "2025-03-31"
"""From this version on, periods are on the items."""


class Options(TypedDict, total=False):
    """The keywords of `stripe_api_app`."""

    faults: ApiFaults | None
    traffic: Traffic | None
    api_key: str | None
    api_version: Shape
    clock: Callable[[], float] | None


def stripe_api_app(
    account: Account,
    *,
    faults: ApiFaults | None = None,
    traffic: Traffic | None = None,
    api_key: str | None = None,
    api_version: Shape = NEW,
    clock: Callable[[], float] | None = None,
) -> ASGIApp:
    """The API of one account.

    `api_key`: the only one that is taken; without it, every one that begins with `sk_test_fake_` or
    `sk_live_fake_`. `api_version`: the account's own, for requests without `Stripe-Version`, and for events
    always. `clock` (Unix seconds) moves the account's clock on before each request; without it, only the
    account does. Behind a server that adds a `Date` of its own, switch that off: the one given here is the
    account's.
    """
    return _Api(account, faults or ApiFaults(), traffic or Traffic(), api_key, api_version, clock)


class _Route(NamedTuple):
    """The route of a request, the ids in its path, and the function that answers it."""

    method: str
    name: str
    ids: tuple[str, ...]
    handler: Handler

    def answer(self, call: Call) -> object:
        """
        Raises:
            ApiError: as the handler, but with words of its own for a parameter that Stripe knows.
        """
        try:
            return self.handler(call)
        except ApiError as error:
            if error.code == "parameter_unknown" and declares(self.method, self.name, error.param or ""):
                raise not_played(error.param or "") from None
            raise


class _Api:
    def __init__(
        self,
        account: Account,
        faults: ApiFaults,
        traffic: Traffic,
        api_key: str | None,
        api_version: Shape,
        clock: Callable[[], float] | None,
    ) -> None:
        self.account, self.faults, self.traffic = account, faults, traffic
        self.api_key, self.api_version, self.clock = api_key, api_version, clock
        self.catalogue, self.answers = Catalogue(account), Answers()
        self.portals: dict[str, PortalPage] = {}
        self._random = random.Random(0)  # not the account's: reading must not change what it makes next

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        method, path = request.method, request.url.path
        name, ids, handler = route(method, path)
        with self.traffic.one(method, path, name):
            fault = self.faults.pick(path)
            form = await _form(request)
            if fault is not None and fault.kind == "delay":
                await fault.wait()
            response = self._respond(request, form, _Route(method, name, ids, handler), fault)
            if fault is not None and fault.kind == "late":
                await fault.wait()
            if fault is not None and fault.kind == "disconnect":
                await _break_off(response, send)
            else:
                await response(scope, receive, send)

    def _respond(self, request: Request, form: bytes, route: "_Route", fault: Fault | None) -> Response:
        """The answer, with the account's time on it; nothing else runs in between."""
        if self.clock is not None:
            self.account.now = max(self.account.now, int(self.clock()))
        headers = {"Date": formatdate(self.account.now, usegmt=True)}
        if not request.url.path.startswith(APIS):
            return self._page(request, headers)
        headers |= {
            "Request-Id": f"req_{self._random.randbytes(7).hex()}",
            "Stripe-Version": request.headers.get("stripe-version", self.api_version),
            "Cache-Control": "no-cache, no-store",
        }
        try:
            _strike(fault)
            body, status = self._answer(request, form, route, headers), 200
        except ApiError as error:
            body, status = _encoded(error.body()), error.status
            headers |= error.headers
        except Exception:
            logger.exception("%s %s", request.method, request.url.path)
            body, status = _encoded(_failed().body()), 500
        if fault is not None and fault.kind == "cut":
            body = body[: len(body) // 2]
        return Response(body, status, headers, media_type="application/json")

    def _answer(self, request: Request, form: bytes, route: "_Route", headers: dict[str, str]) -> bytes:
        """The body of a 200: made now, or made before for the same idempotency key."""
        method, path = request.method, request.url.path
        mode = mode_of(request.headers.get("authorization"), self.api_key)
        key = request.headers.get("idempotency-key") if method == "POST" else None
        now = self.account.now
        if key and (kept := self.answers.find(mode, key, path, form, now)):
            headers |= {
                "Idempotency-Key": key,
                "Idempotent-Replayed": "true",
                "Original-Request": kept.request_id,
            }
            return kept.body
        self.catalogue.refresh()
        body = _encoded(route.answer(self._call(request, form, route, mode)))
        if key:
            self.answers.keep(mode, key, Answer.of(now, path, form, headers["Request-Id"], body))
            headers |= {"Idempotency-Key": key, "Original-Request": headers["Request-Id"]}
        return body

    def _call(self, request: Request, form: bytes, route: "_Route", mode: str) -> Call:
        other_mode = (mode == "live") != self.account.livemode
        if other_mode and request.method == "POST" and not route.ids:
            raise invalid(f"This simulated account has no {mode} mode.")
        encoded = request.url.query.encode() if request.method == "GET" else form
        as_json = request.method == "POST" and request.url.path.startswith("/v2/")
        params = forms.parse_json(encoded) if as_json else forms.parse_form(encoded)
        self._require_own_account(request)
        shape = self._shape(request.headers.get("stripe-version"))
        base_url = str(request.base_url).rstrip("/")
        return Call(
            self.catalogue,
            params,
            route.method,
            route.name,
            request.url.path,
            route.ids[0] if route.ids else "",
            route.ids[1] if len(route.ids) > 1 else "",
            shape,
            self.api_version,
            base_url,
            other_mode,
            self.portals,
        )

    def _require_own_account(self, request: Request) -> None:
        """`Stripe-Account` and `Stripe-Context` may name this account, and no other.

        Raises:
            ApiError: 403 for another one.
        """
        for name in ("stripe-account", "stripe-context"):
            wanted = request.headers.get(name, "").rpartition("/")[2]
            if wanted not in ("", self.account.id):
                raise ApiError(
                    403,
                    f"The provided key does not have access to account '{wanted}' (or that account does not "
                    "exist). Application access may have been revoked.",
                    code="account_invalid",
                )

    def _shape(self, version: str | None) -> Shape:
        if version is None:
            return self.api_version
        if not VERSION.fullmatch(version):
            raise invalid(f"Invalid Stripe API version: {version}")
        return OLD if version[: len(FIRST_NEW)] < FIRST_NEW else NEW

    def _page(self, request: Request, headers: dict[str, str]) -> Response:
        """What a buyer's browser opens."""
        path = request.url.path
        if path.startswith(checkouts.PAGE) and request.method == "GET":
            session = self.account.sessions.get(path.removeprefix(checkouts.PAGE))
            if session is not None:
                try:
                    checkouts.submit_page(self.account, session)
                except ValueError as error:
                    return HTMLResponse(f"<!doctype html><p>{error}</p>", 410, headers)
                return RedirectResponse(checkouts.success_address(session), 303, headers)
        shown = self.portals.get(path.removeprefix(portal.PAGE))
        if shown is not None and path.startswith(portal.PAGE):
            return HTMLResponse(portal.portal_page(self.account, shown), 200, headers)
        return HTMLResponse("<!doctype html><p>There is no such page.</p>", 404, headers)


async def _form(request: Request) -> bytes:
    """The parameters of a DELETE may stand in its body or in the address, as the libraries differ."""
    body = await request.body()
    return body or (request.url.query.encode() if request.method == "DELETE" else b"")


def _strike(fault: Fault | None) -> None:
    """
    Raises:
        ApiError: 429 or 500, where the fault is one.
    """
    if fault is not None and fault.kind == "rate_limit":
        raise ApiError(
            429,
            "Request rate limit exceeded. You can learn more about rate limits here "
            "https://stripe.com/docs/rate-limits.",
            code="rate_limit",
            headers={"Retry-After": f"{fault.seconds:g}", "Stripe-Rate-Limited-Reason": "global-rate"},
        )
    if fault is not None and fault.kind == "error":
        raise _failed()


def _failed() -> ApiError:
    return ApiError(500, "An unknown error occurred.", type="api_error")


def _encoded(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


async def _break_off(response: Response, send: Send) -> None:
    """Promise the whole body, send half, and return: the server then closes the connection."""
    body = bytes(response.body)
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
