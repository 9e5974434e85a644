"""The application: `create_app()` for a process of its own, `install()` for an existing FastAPI app."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from . import handlers
from .config import Settings, load_settings
from .db import open_database
from .errors import ConfigurationError
from .inbox import Inbox
from .migrations import migrate_async
from .problems import install_error_handlers
from .routers import health, internal, webhook
from .service import Service

DESCRIPTION = "Keeps subscription records in step with Stripe and answers feature-limit checks."


def create_app(settings: Settings | None = None, *, clock: Callable[[], float] = time.time) -> FastAPI:
    """The service as an application of its own. `clock` gives Unix seconds.

    Raises:
        ConfigurationError: when settings are missing or wrong; the message says which.
    """
    app = FastAPI(title="Subscription service", description=DESCRIPTION, lifespan=_lifespan)
    install(app, settings or load_settings(), clock)
    return app


def install(app: FastAPI, settings: Settings, clock: Callable[[], float]) -> None:
    """Add routes and error handlers to an application."""
    handlers.connect()
    database = open_database(settings.database_url)
    inbox = Inbox(database, livemode=settings.livemode, clock=clock)
    app.state.billing = Service(settings, database, inbox, clock)
    app.router.routes.append(_webhook_route(app.state.billing))
    app.include_router(internal.router)
    app.include_router(health.router)
    install_error_handlers(app)
    _describe_webhook(app)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.billing
    if service.database.name == "sqlite":
        await migrate_async(service.settings.database_url)
    service.inbox.start()
    yield
    await service.inbox.stop()
    await service.database.close()


def _webhook_route(service: Service) -> Route:
    endpoint = webhook.StripeWebhook(
        service.inbox,
        secrets=[secret.get_secret_value() for secret in service.settings.stripe_webhook_secret],
        max_body_bytes=service.settings.max_body_bytes,
        clock=service.clock,
    )
    return Route(webhook.PATH, endpoint, methods=["POST"], name="stripe_webhook")


def _describe_webhook(app: FastAPI) -> None:
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        schema["paths"].setdefault(webhook.PATH, {"post": webhook.openapi_operation()})
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI documents "Extending OpenAPI"


def __getattr__(name: str) -> FastAPI:
    """`app.main:app`, made when it is asked for, so that importing this module needs no settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = create_app()
    except ConfigurationError as error:
        raise SystemExit(error.detail) from None
    globals()["app"] = app
    return app
