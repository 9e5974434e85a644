"""The application: `create_app()` for a process of its own, `install()` for an existing FastAPI app."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from . import handlers, limits
from .config import Settings, load_settings
from .db import open_database
from .errors import ConfigurationError
from .inbox import Inbox
from .migrations import migrate_async
from .plans import load_catalogue
from .problems import install_error_handlers
from .routers import health, internal, webhook
from .service import Service
from .signals import users_changed

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
    catalogue = load_catalogue(settings.plans_file)
    inbox = Inbox(database, catalogue=catalogue, livemode=settings.livemode, clock=clock)
    service = Service(settings, database, inbox, limits.Limits(database, catalogue, clock), clock)
    users_changed.connect(service.limits.snapshots.on_users_changed)
    limits.use(service.limits)
    app.state.billing = service
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
    listener = asyncio.create_task(service.database.listen(service.limits.snapshots.forget))
    yield
    listener.cancel()
    with suppress(asyncio.CancelledError):
        await listener
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
