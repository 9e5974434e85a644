"""The admin screen at `/admin`; off until ADMIN_USERNAME and ADMIN_PASSWORD_HASH are set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from ..service import Service
from .passwords import hash_password

__all__ = ["hash_password", "install"]

PATH = "/admin"


def install(app: FastAPI, service: Service) -> None:
    """Mount the screen, if it is switched on. Its background work ends with the application."""
    if not service.settings.admin_username:
        return
    from .app import make_admin, make_app  # what the screen needs is imported only where it is used

    admin, applications_own = make_admin(service), app.router.lifespan_context
    app.mount(PATH, make_app(admin), name="admin")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with applications_own(app) as state:
            try:
                yield state
            finally:
                await admin.statistics.close()

    app.router.lifespan_context = lifespan
