"""The admin screen at `/admin`; off until ADMIN_USERNAME and ADMIN_PASSWORD_HASH are set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from ..extras import needed_for
from ..service import Service

PATH = "/admin"


def install(app: FastAPI, service: Service, *, prefix: str = "") -> None:
    """Mount the screen, if it is switched on. Its background work ends with the application.

    Raises:
        ConfigurationError: when it is switched on, and the libraries of the extra `admin` are not installed.
    """
    if not service.settings.admin_username:
        return
    with needed_for("admin"):
        from .app import make_admin, make_app

    admin, applications_own = make_admin(service), app.router.lifespan_context
    app.mount(prefix + PATH, make_app(admin), name="admin")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with applications_own(app) as state:
            try:
                yield state
            finally:
                await admin.statistics.close()

    app.router.lifespan_context = lifespan
