"""One set of route objects for all applications of a test process.

FastAPI builds the routes of an included router again for every application, at its first request: the models
of all their parameters, in a quarter of a test's time. What is built depends on the application in one way
only: who overrides dependencies; no test does.
"""

from dataclasses import replace
from typing import Any

from fastapi import routing

_built: dict[int, list[tuple[Any, Any, Any]]] = {}
"""For each route by its id: the route, how it is included, and what was built for that."""


def share_routes() -> None:
    """Build each route once for each way in which it is included."""
    build = routing._IncludedRouter._build_effective_context

    def build_once(included: routing._IncludedRouter, route: Any) -> Any:
        way = replace(included.include_context, dependency_overrides_provider=None)
        ways = _built.setdefault(id(route), [])
        for _, known, built in ways:
            if known == way:
                return built
        ways.append((route, way, build(included, route)))
        return ways[-1][-1]

    setattr(routing._IncludedRouter, "_build_effective_context", build_once)  # noqa: B010 # unknown to mypy
