"""Routes that give way to the application's own, and routes whose parameters may hold a slash."""

import re
from typing import Any
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


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
