"""The application: `create_app()` for a process of its own, `install()` for an existing FastAPI app."""

import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import admin, api, limits
from .api import health, metrics
from .api.home import home
from .api.problem_schemas import add_problem_schemas
from .billing.seat_changes import syncing_seats
from .billing.set_aside_plans import restoring_plans
from .config import Settings, load_settings
from .errors import ConfigurationError, ServiceError
from .inbox import handlers, webhook
from .inbox.webhook import StripeWebhook, WebhookFirst
from .observability.logs import configure_logging, join_logging
from .service import Service, make_service
from .web.bodies import BoundedBodies
from .web.problems import UnexpectedErrors, answer_service_error, install_error_handlers
from .web.routes import RelativeRedirects
from .web.server import OnFirstRequest

GARBAGE_THRESHOLDS = (50_000, 20, 100)
THIS_SERVER = {"url": "/", "description": "The server that answers this description"}
DESCRIPTION = "Keeps subscription records in step with Stripe and answers feature-limit checks."


class _Application(FastAPI):
    """An application whose webhook may be asked before all other layers."""

    webhook: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.webhook or super().__call__)(scope, receive, send)


def create_app(settings: Settings | None = None, *, clock: Callable[[], float] = time.time) -> _Application:
    """The service as an application of its own. `clock` gives Unix seconds.

    Raises:
        ConfigurationError: when settings are missing or wrong; the message says which.
    """
    settings = settings or load_settings()
    description = "/openapi.json" if settings.api_docs else None  # without it there is no /docs and no /redoc
    app = _Application(
        title="Subscription service", description=DESCRIPTION, openapi_url=description, servers=[THIS_SERVER]
    )
    install(app, settings, clock=clock, in_openapi=True)
    install_error_handlers(app)
    app.router.routes.append(home(settings))
    return app


def install(
    app: FastAPI,
    settings: Settings | None = None,
    *,
    prefix: str = "",
    in_openapi: bool = False,
    clock: Callable[[], float] = time.time,
) -> Service:
    """Add the service to an existing application: its routes, its lifespan, and answers for its errors.

    The application's own routes, error handlers and lifespan stay as they are; where it has a route of its
    own at `/healthz`, `/readyz` or `/metrics`, that one answers. Settings are read from the environment when
    none are given. `prefix`, such as `/billing`, is put before the path of every route, the webhook's
    included. The routes are in the application's OpenAPI description only with `in_openapi`. `clock` gives
    Unix seconds.

    Raises:
        ConfigurationError: when settings are missing or wrong, or the service is installed already.
    """
    _check_install(app, prefix)
    join_logging()
    handlers.connect()
    service = make_service(settings or load_settings(), clock)
    limits.use(service.limits)
    app.state.billing = service
    endpoint = _webhook(service)
    path = prefix + webhook.PATH
    app.router.routes.append(Route(path, endpoint, methods=["POST"], name="stripe_webhook"))
    for router in (api.router, health.router, metrics.router):
        app.include_router(router, prefix=prefix, include_in_schema=in_openapi)
    app.add_middleware(
        BoundedBodies, prefix=prefix + api.router.prefix, limit=service.settings.max_body_bytes
    )
    app.add_middleware(RelativeRedirects)
    app.add_middleware(WebhookFirst, endpoint=endpoint, path=path)
    app.add_middleware(OnFirstRequest, notify=service.worker.server.seen)
    app.add_exception_handler(ServiceError, answer_service_error)
    admin.install(app, service, prefix=prefix)
    _run_with(app, service)
    if in_openapi:
        _describe_webhook(app, path)
    return service


def _check_install(app: FastAPI, prefix: str) -> None:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ConfigurationError(f"The prefix {prefix!r} must begin with a / and not end with one: /billing.")
    if hasattr(app.state, "billing"):
        raise ConfigurationError(
            "The service is installed in this application already: call install() once for each application."
        )


def _run_with(app: FastAPI, service: Service) -> None:
    """The service starts before the application and ends after it."""
    applications_own = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with (
            service.running(),
            syncing_seats(service),
            restoring_plans(service),
            applications_own(app) as state,
        ):
            yield state

    app.router.lifespan_context = lifespan


def _webhook(service: Service) -> StripeWebhook:
    return StripeWebhook(
        service.inbox,
        service.spool,
        service.arrivals,
        secrets=service.settings.signing_secrets,
        max_body_bytes=service.settings.max_body_bytes,
        clock=service.clock,
    )


def _describe_webhook(app: FastAPI, path: str) -> None:
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        add_problem_schemas(schema)
        schema["paths"].setdefault(path, {"post": webhook.openapi_operation()})
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI documents "Extending OpenAPI"


def _collect_garbage_less(app: FastAPI) -> None:
    """In a process of our own: what is there at the start stays, so it need not be looked at again and again.

    Without this the webhook's p99 at 64 connections was 70 ms instead of 28.
    """
    start = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with start(app) as state:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GARBAGE_THRESHOLDS)
            yield state

    app.router.lifespan_context = lifespan


def _take_webhooks_first(app: _Application) -> None:
    """In a process of our own: layers that do nothing for a webhook are a twentieth of what an event costs.

    Elsewhere the application's own middleware may want to see it.
    """
    service: Service = app.state.billing
    endpoint = UnexpectedErrors(OnFirstRequest(_webhook(service), notify=service.worker.server.seen))
    app.webhook = WebhookFirst(super(_Application, app).__call__, endpoint=endpoint)


def __getattr__(name: str) -> FastAPI:
    """`app.main:app`, made when it is asked for, so that importing this module needs no settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    configure_logging()  # here too, for `uvicorn app.main:app` and for each of several workers
    try:
        app = create_app()
        _collect_garbage_less(app)
        _take_webhooks_first(app)
    except ConfigurationError as error:
        raise SystemExit(error.detail) from None
    globals()["app"] = app
    return app
