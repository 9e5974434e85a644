"""What a running service consists of; the routes find it on their application."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from .config import Settings
from .db import Database
from .inbox import Inbox
from .limits import Limits


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one process. `clock` gives Unix seconds."""

    settings: Settings
    database: Database
    inbox: Inbox
    limits: Limits
    clock: Callable[[], float]


def service_of(request: Request) -> Service:
    """The service that the request's application runs; a FastAPI dependency."""
    service: Service = request.app.state.billing
    return service
