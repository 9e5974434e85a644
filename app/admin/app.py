"""The admin screen as an application of its own, to be mounted at `/admin`."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import ServiceError
from ..service import Service
from .actions import action_page
from .event import event_page
from .login import LoginPage, Page, logout_page, require_login
from .middleware import AdminMiddleware
from .overview import overview_page
from .page import Admin, load_templates
from .sessions import Sessions
from .statistics import CachedStatistics
from .tables import table_page
from .user import search_page, user_page

ASSETS = Path(__file__).resolve().parent / "assets"

PAGES: tuple[tuple[str, Page, tuple[str, ...]], ...] = (
    ("/", overview_page, ("GET",)),
    ("/search", search_page, ("GET",)),
    ("/user", user_page, ("GET",)),
    ("/event", event_page, ("GET",)),
    ("/action/{name}", action_page, ("GET", "POST")),
    ("/logout", logout_page, ("POST",)),
    ("/{table}", table_page, ("GET",)),
)
"""Path, page and methods of everything behind the log-in. The first route that matches answers."""


def make_admin(service: Service) -> Admin:
    """Make what the pages of one application share."""
    settings = service.settings
    sessions = Sessions(
        settings.admin_username, settings.admin_password_hash.get_secret_value(), service.clock
    )
    return Admin(service, sessions, CachedStatistics(service), load_templates())


def make_app(admin: Admin) -> Starlette:
    """Make the ASGI application: assets, log-in, pages behind the log-in, and answers for errors."""

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error_page(admin, request, error.status_code, str(error.detail))

    async def service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return _error_page(admin, request, error.status, error.detail)

    return Starlette(
        routes=[
            Mount("/assets", StaticFiles(directory=ASSETS)),
            Route("/login", LoginPage(admin).answer, methods=["GET", "POST"]),
            *(Route(path, require_login(admin, page), methods=methods) for path, page, methods in PAGES),
        ],
        middleware=[Middleware(AdminMiddleware, database=admin.service.database)],
        exception_handlers={HTTPException: http_error, ServiceError: service_error},
    )


def _error_page(admin: Admin, request: Request, status_code: int, detail: str) -> Response:
    return admin.render_plain(request, "error.html", status_code, status_code=status_code, detail=detail)
