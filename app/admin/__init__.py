"""`/admin`: the screen for people, off until ADMIN_USERNAME and ADMIN_PASSWORD_HASH are set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from ..service import Service
from .passwords import hash_password

__all__ = ["hash_password", "install"]


def install(app: FastAPI, service: Service) -> None:
    """Mount the screen, if it is switched on; it ends with the application."""
    if not service.settings.admin_username:
        return
    # sqladmin is imported by those alone who use it: it takes a quarter of a second.
    from .app import Screen

    screen, applications_own = Screen(app, service), app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with applications_own(app) as state:
            try:
                yield state
            finally:
                await screen.close()

    app.router.lifespan_context = lifespan
