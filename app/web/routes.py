"""Routes that give way to the application's own."""

from typing import Any

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
