"""Log-in, log-out, and the check before every page: a session, and on each POST its token."""

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import structlog
from sqlmodel import col, select
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..db.audit import audit_entry
from ..db.models import AuditEntry
from .page import Admin, root_of
from .passwords import PasswordCheck, TooManyLogIns
from .sessions import Session
from .throttle import Throttle, network_of

log = structlog.get_logger(__name__)

TOKEN = "token"
FORGED = "The form has expired, or did not come from this screen. Nothing was changed: open it again."
NO_COOKIE = (
    "Your browser sent no cookie. Allow cookies for this site, and open it over https: "
    "over plain http the cookie is kept on localhost alone. Then try again."
)
BUSY = "Too many log-ins are being checked. Try again in a minute."
LOGOUT = "admin.logout"
WRONG = "The user name or the password is wrong."


Page = Callable[[Admin, Request], Awaitable[Response]]


def require_login(admin: Admin, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The page as an endpoint. Without a session it redirects to the log-in page; a POST needs the token."""

    async def endpoint(request: Request) -> Response:
        session = admin.sessions.read(request)
        if session is None or session.user is None or await _has_logged_out(admin, session):
            return _to_login(request)
        request.state.admin_session = session
        if request.method not in ("GET", "HEAD"):
            check_token(await request.form(), session)
        return await page(admin, request)

    return endpoint


async def logout_page(admin: Admin, request: Request) -> Response:
    """`/admin/logout`: ends the session, here and in every replica, and deletes the cookie."""
    session: Session = request.state.admin_session
    await _note_logout(admin, session)
    response = RedirectResponse(f"{root_of(request)}/login", 303)
    admin.sessions.end(request, response)
    return response


async def _note_logout(admin: Admin, session: Session) -> None:
    service, user = admin.service, session.user or ""
    async with service.database.session() as database:
        entry = audit_entry(
            at=int(service.clock()),
            actor=f"admin:{user}",
            action=LOGOUT,
            subject=user,
            after={"session": session.digest},
        )
        database.add(entry)


async def _has_logged_out(admin: Admin, session: Session) -> bool:
    """Whether somebody has ended the session: a copy of its cookie is worth nothing then."""
    ended = (
        select(AuditEntry.after)
        .where(AuditEntry.subject == session.user, AuditEntry.action == LOGOUT)
        .where(col(AuditEntry.at) >= session.began)
    )
    async with admin.service.database.reading() as database:
        return any((after or {}).get("session") == session.digest for after in await database.exec(ended))


class LoginPage:
    """`/admin/login`: GET shows the form, POST checks the user name and the password."""

    def __init__(self, admin: Admin) -> None:
        settings = admin.service.settings
        self._admin = admin
        self._username = settings.admin_username
        self._password = PasswordCheck(settings.admin_password_hash.get_secret_value())
        self._throttle = Throttle(admin.service.clock)

    async def answer(self, request: Request) -> Response:
        if request.method != "POST":
            return await self._form(request)
        refused = await self._refusal(request, await request.form())
        if refused is not None:
            return await self._form(request, *refused)
        response = RedirectResponse(safe_next(request), 303)
        sessions = self._admin.sessions
        sessions.write(request, response, sessions.begin(self._username))
        sessions.remember_browser(request, response)
        return response

    async def _form(self, request: Request, status_code: int = 200, error: str = "") -> Response:
        sessions = self._admin.sessions
        session = sessions.read(request)
        logged_in = session is not None and session.user is not None
        if (
            session is not None
            and logged_in
            and not error
            and not await _has_logged_out(self._admin, session)
        ):
            return RedirectResponse(safe_next(request), 303)
        # The same token while the cookie lasts: two tabs must not spoil each other's form.
        anonymous = session if session is not None and session.user is None else sessions.begin(None)
        response = self._admin.render_plain(
            request, "login.html", status_code, error=error, session=anonymous, next=safe_next(request)
        )
        sessions.write(request, response, sessions.renewed(anonymous))
        return response

    async def _refusal(self, request: Request, form: FormData) -> tuple[int, str] | None:
        """Why this log-in fails, with the status to answer; None when it is right."""
        session = self._admin.sessions.read(request)
        if session is None:
            return 400, NO_COOKIE
        check_token(form, session)
        name, password = text(form, "username"), text(form, "password")
        address = request.client.host if request.client else "unknown"
        browser = self._admin.sessions.known_browser(request)
        if wait := self._throttle.wait(name, address, browser):
            log.warning("admin_login_throttled", address=address)
            return 429, f"Too many attempts. Try again in {-(-wait // 60)} minutes."
        try:
            # The password is verified even for a wrong name: the time must not tell which one is wrong.
            self._throttle.count(name, address, browser)
            right = await self._password.verify(
                password, network=network_of(address), known=browser is not None
            )
        except TooManyLogIns:
            return 429, BUSY
        if not (right and hmac.compare_digest(name.encode(), self._username.encode())):
            log.warning("admin_login_failed", address=address)
            return 401, WRONG
        self._throttle.forgive(name, address, browser)
        await self._audit(name, address)
        return None

    async def _audit(self, name: str, address: str) -> None:
        service = self._admin.service
        async with service.database.session() as session:
            now = int(service.clock())
            entry = audit_entry(
                at=now, actor=f"admin:{name}", action="admin.login", subject=name, after={"address": address}
            )
            session.add(entry)


def check_token(form: FormData, session: Session) -> None:
    """
    Raises:
        HTTPException: when the form does not carry the session's token.
    """
    if not hmac.compare_digest(text(form, TOKEN).encode(), session.token.encode()):
        raise HTTPException(403, FORGED)


def text(form: FormData, name: str) -> str:
    """A field of a form, without characters that a database cannot hold; empty when it is absent."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def safe_next(request: Request) -> str:
    """Where to go after the log-in: only a page of this screen."""
    target = request.query_params.get("next", "")
    own = target.startswith(f"{root_of(request)}/") and "\\" not in target and target.isprintable()
    return target if own else f"{root_of(request)}/"


def _to_login(request: Request) -> Response:
    path = request.url.path if request.method == "GET" else f"{root_of(request)}/"
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    return RedirectResponse(f"{root_of(request)}/login?next={quote(path + query, safe='')}", 303)
