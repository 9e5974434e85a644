"""The admin screen: sqladmin's application, with pages, templates and assets of our own."""

from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from sqladmin import Admin
from sqladmin.authentication import login_required
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import ServiceError
from ..service import Service
from .actions import ActionPage
from .event import EventPage
from .formatting import FILTERS
from .login import Backend, safe_next
from .middleware import Shield
from .overview import OverviewPage
from .page import Page, root_of
from .statistics import KeptFigures
from .tables import TablePage
from .user import UserPage

log = structlog.get_logger(__name__)

BASE = "/admin"
HERE = Path(__file__).resolve().parent
PAGES: tuple[type[Page], ...] = (OverviewPage, UserPage, EventPage, ActionPage, TablePage)


class Screen(Admin):
    """Mounted at `/admin`. Without sqladmin's list, edit and export routes: nothing is edited raw."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        self.backend = Backend(service)
        self.service = service
        super().__init__(
            app,
            engine=service.database.engine,
            base_url=BASE,
            title="Subscriptions",
            templates_dir=str(HERE / "templates"),
            middlewares=[Middleware(Shield, database=service.database)],
            authentication_backend=self.backend,
        )
        self.templates.env.filters |= FILTERS
        self.templates.env.trim_blocks = self.templates.env.lstrip_blocks = True
        for template in (HERE / "templates").iterdir():
            self.templates.env.get_template(template.name)  # compiled now: the first visitor does not wait
        self.admin.exception_handlers = {
            HTTPException: self._http_error,
            ServiceError: self._service_error,
        }
        self.admin.router.routes = [
            Mount("/assets", StaticFiles(directory=HERE / "assets"), name="assets"),
            Route("/login", self.login, name="login", methods=["GET", "POST"]),
            Route("/logout", self.logout, name="logout", methods=["POST"]),
        ]
        self.kept = KeptFigures(service)
        own = {"service": service, "sessions": self.backend.sessions, "kept": self.kept}
        for page in PAGES:
            self.add_base_view(type(page.__name__, (page,), own))

    async def close(self) -> None:
        """End what runs in the background."""
        await self.kept.close()

    async def login(self, request: Request) -> Response:
        """The log-in page, and what its form is sent to."""
        if request.method == "GET":
            return await self._login_page(request)
        refused = await self.backend.refusal(request, await request.form())
        if refused is not None:
            return await self._login_page(request, *refused)
        response = RedirectResponse(safe_next(request), 303)
        sessions = self.backend.sessions
        sessions.write(request, response, sessions.begin(self.service.settings.admin_username))
        return response

    @login_required
    async def logout(self, request: Request) -> Response:
        response = await self.backend.logout(request)
        assert isinstance(response, Response)
        return response

    async def _login_page(self, request: Request, status_code: int = 200, error: str = "") -> Response:
        sessions = self.backend.sessions
        session = sessions.read(request)
        if session is not None and session.user is not None and not error:
            return RedirectResponse(safe_next(request), 303)
        # The same token while the cookie lasts: two tabs must not spoil each other's form.
        anonymous = session if session is not None and session.user is None else sessions.begin(None)
        context: dict[str, Any] = {"error": error, "session": anonymous, "next": safe_next(request)}
        response = await self._render(request, "login.html", context, status_code)
        sessions.write(request, response, sessions.renewed(anonymous))
        return response

    async def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await self._error(request, error.status_code, str(error.detail))

    async def _service_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return await self._error(request, error.status, error.detail)

    async def _error(self, request: Request, status_code: int, detail: str) -> Response:
        context = {"status_code": status_code, "detail": detail}
        return await self._render(request, "error.html", context, status_code)

    async def _render(
        self, request: Request, template: str, context: dict[str, Any], status_code: int
    ) -> Response:
        context["root"] = root_of(request)
        response: Response = await self.templates.TemplateResponse(request, template, context, status_code)
        return response
