"""Routes that give way to the application's own, and routes whose parameters may hold a slash."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class GuestRoute(APIRoute):
    """A route that gives way where the application has one of its own at the same path, in whatever order."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is not Match.NONE and self._is_taken(scope.get("app")):
            return Match.NONE, {}
        return match, child

    def _is_taken(self, app: Any) -> bool:
        others = [route for route in getattr(app, "routes", ()) if not isinstance(route, GuestRoute)]
        return any(getattr(route, "path", None) == self.path for route in others)


SLASH = "\udc2f"
"""Stands for an encoded slash while routes are compared; no path that was decoded from UTF-8 can hold it."""
ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)


class WholeParameters(APIRoute):
    """A route that takes `%2F` in the path for a part of the parameter that it stands in.

    A server decodes the path before routes are compared: the user `ada/usage` would be the usage of `ada`.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = _with_marked_slashes(scope) if scope["type"] == "http" else None
        if path is None:
            return super().matches(scope)
        match, child = super().matches({**scope, "path": path})
        if "path_params" in child:
            child["path_params"] = {
                name: value.replace(SLASH, "/") if isinstance(value, str) else value
                for name, value in child["path_params"].items()
            }
        return match, child


def _with_marked_slashes(scope: Scope) -> str | None:
    """The decoded path with encoded slashes marked; None where it has none."""
    raw = scope.get("raw_path") or b""
    if b"%2" not in raw:
        return None
    encoded = raw.decode("latin-1")
    if unquote(encoded) != scope["path"]:  # somebody has rewritten the path
        return None
    parts = ENCODED_SLASH.split(encoded)
    return SLASH.join(unquote(part) for part in parts) if len(parts) > 1 else None


class RelativeRedirects:
    """ASGI middleware: a redirect to another spelling of the path names no host.

    Starlette adds or takes a slash at the end, at the host that the request names; a forged `Host` would lead
    whoever follows, or a cache before it, elsewhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (307, 308):
                headers = MutableHeaders(scope=message)
                location = urlsplit(headers.get("location", ""))
                if location.netloc and location.netloc.encode() == dict(scope["headers"]).get(b"host"):
                    path = "/" + location.path.lstrip("/")  # two slashes would begin another host
                    headers["location"] = location._replace(scheme="", netloc="", path=path).geturl()
            await send(message)

        await self._app(scope, receive, send_relative)
