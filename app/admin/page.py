"""What every page of the admin screen is made with."""

from typing import Any, cast

from sqladmin import BaseView
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..service import Service
from .sessions import Session, Sessions
from .statistics import KeptFigures

MENU = (
    ("", "Overview"),
    ("subscriptions", "Subscriptions"),
    ("customers", "Customers"),
    ("invoices", "Invoices"),
    ("events", "Events"),
    ("outbox", "Reactions"),
    ("audit", "Audit"),
)


class Page(BaseView):
    """A view with the running service. Each screen has subclasses of its own: all is kept on the class."""

    service: Service
    sessions: Sessions
    kept: KeptFigures

    async def render(
        self, request: Request, template: str, status_code: int = 200, **context: Any
    ) -> Response:
        """The template as a page, with the session's cookie renewed where it is due."""
        session = session_of(request)
        context |= {
            "session": session,
            "menu": MENU,
            "root": root_of(request),
            "here": request.url.path.removeprefix(root_of(request)).strip("/"),
        }
        response: Response = await self.templates.TemplateResponse(request, template, context, status_code)
        renewed = self.sessions.renewed(session)
        if renewed != session:
            self.sessions.write(request, response, renewed)
        return response


def session_of(request: Request) -> Session:
    """The session that the log-in check has found."""
    return cast(Session, request.state.admin_session)


def actor_of(request: Request) -> str:
    """Who is named in the audit trail."""
    return f"admin:{session_of(request).user}"


def root_of(request: Request) -> str:
    """Where the screen is mounted, such as `/admin`."""
    return str(request.scope.get("root_path", ""))


def see_other(request: Request, path: str) -> RedirectResponse:
    """Go to another page of the screen."""
    return RedirectResponse(f"{root_of(request)}{path}", 303)


def parameter(request: Request, name: str, longest: int = 1000) -> str:
    """A query parameter, without what no id has; empty when it is not there.

    PostgreSQL's text holds no NUL, and no lone surrogate can be sent to it.
    """
    value = request.query_params.get(name, "")[:longest].strip()
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def not_found(what: str) -> HTTPException:
    return HTTPException(404, what)
