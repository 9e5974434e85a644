"""What all pages of the admin screen use: the shared state, templates, parameters, redirects."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from ..service import Service
from .formatting import FILTERS
from .sessions import Session, Sessions
from .statistics import CachedStatistics

TEMPLATES = Path(__file__).resolve().parent / "templates"

MENU = (
    ("", "Overview"),
    ("subscriptions", "Subscriptions"),
    ("customers", "Customers"),
    ("invoices", "Invoices"),
    ("events", "Events"),
    ("outbox", "Reactions"),
    ("audit", "Audit"),
)


@dataclass(frozen=True, slots=True)
class Admin:
    """One application's admin screen, as each of its pages gets it."""

    service: Service
    sessions: Sessions
    statistics: CachedStatistics
    templates: Jinja2Templates

    def render(self, request: Request, template: str, status_code: int = 200, /, **context: Any) -> Response:
        """Render a template as a page, and renew the session's cookie when that is due."""
        session = session_of(request)
        context |= {
            "session": session,
            "menu": MENU,
            "here": request.url.path.removeprefix(root_of(request)).strip("/"),
        }
        response = self.render_plain(request, template, status_code, **context)
        renewed = self.sessions.renewed(session)
        if renewed != session:
            self.sessions.write(request, response, renewed)
        return response

    def render_plain(
        self, request: Request, template: str, status_code: int = 200, /, **context: Any
    ) -> Response:
        """Render a template that does not need a session: the log-in page and error pages."""
        context["root"] = root_of(request)
        return self.templates.TemplateResponse(request, template, context, status_code)


@cache
def load_templates() -> Jinja2Templates:
    """Compile all templates now, once for all applications: the first visitor does not wait for it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    for name in environment.list_templates():
        environment.get_template(name)
    return Jinja2Templates(env=environment)


def session_of(request: Request) -> Session:
    """The session that the log-in check has found."""
    return cast(Session, request.state.admin_session)


def actor_of(request: Request) -> str:
    """The actor for the audit trail."""
    return f"admin:{session_of(request).user}"


def root_of(request: Request) -> str:
    """Where the screen is mounted, such as `/admin`."""
    return str(request.scope.get("root_path", ""))


def see_other(request: Request, path: str) -> RedirectResponse:
    """Go to another page of the screen."""
    return RedirectResponse(f"{root_of(request)}{path}", 303)


def parameter(request: Request, name: str, longest: int = 1000) -> str:
    """A query parameter, without characters that no id has; empty when it is absent.

    PostgreSQL's text cannot hold NUL or a lone surrogate.
    """
    value = request.query_params.get(name, "")[:longest].strip()
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def not_found(what: str) -> HTTPException:
    return HTTPException(404, what)
