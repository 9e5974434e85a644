"""Logging in and out, and the check before every page: a session, and on each POST its token."""

import hmac
from urllib.parse import quote

import structlog
from sqladmin.authentication import AuthenticationBackend
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..db.audit import audit_entry
from ..service import Service
from .page import root_of
from .passwords import PasswordCheck
from .sessions import Session, Sessions
from .throttle import Throttle

log = structlog.get_logger(__name__)

TOKEN = "token"
FORGED = "The form has expired, or did not come from this screen. Nothing was changed: open it again."
NO_COOKIE = (
    "Your browser sent no cookie. Allow cookies for this site, and open it over https: "
    "over plain http the cookie is kept on localhost alone. Then try again."
)
WRONG = "The user name or the password is wrong."


class Backend(AuthenticationBackend):
    """sqladmin asks it before every page."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self.middlewares = []  # the session is not Starlette's: it ends when idle, and is Secure by request
        self._service = service
        self._username = settings.admin_username
        password_hash = settings.admin_password_hash.get_secret_value()
        self.sessions = Sessions(self._username, password_hash, service.clock)
        self._password = PasswordCheck(password_hash)
        self._throttle = Throttle(service.clock)

    async def authenticate(self, request: Request) -> Response | bool:
        session = self.sessions.read(request)
        if session is None or session.user is None:
            return _to_login(request)
        request.state.admin_session = session
        if request.method not in ("GET", "HEAD"):
            check_token(await request.form(), session)
        return True

    async def login(self, request: Request) -> Response | bool:
        """Never used: `Screen` has a page of its own, which tells why a log-in failed."""
        return False

    async def logout(self, request: Request) -> Response | bool:
        response = RedirectResponse(f"{root_of(request)}/login", 303)
        self.sessions.end(request, response)
        return response

    async def refusal(self, request: Request, form: FormData) -> tuple[int, str] | None:
        """Why this log-in fails, with the status to answer; None when it is right."""
        session = self.sessions.read(request)
        if session is None:
            return 400, NO_COOKIE
        check_token(form, session)
        name, password = text(form, "username"), text(form, "password")
        address = request.client.host if request.client else "unknown"
        if wait := self._throttle.wait(name, address):
            log.warning("admin_login_throttled", address=address)
            return 429, f"Too many attempts. Try again in {-(-wait // 60)} minutes."
        self._throttle.count(name, address)
        # The password is looked at whatever the name is: the time must not tell which one is wrong.
        fits = await self._password.fits(password)
        if not (fits and hmac.compare_digest(name.encode(), self._username.encode())):
            log.warning("admin_login_failed", address=address)
            return 401, WRONG
        self._throttle.forgive(name, address)
        await self._remember(name, address)
        return None

    async def _remember(self, name: str, address: str) -> None:
        async with self._service.database.session() as session:
            now = int(self._service.clock())
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
    """A field of a form, without what a database cannot hold."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def safe_next(request: Request) -> str:
    """Where to go after the log-in: a page of this screen, and nothing else."""
    target = request.query_params.get("next", "")
    own = target.startswith(f"{root_of(request)}/") and "\\" not in target and target.isprintable()
    return target if own else f"{root_of(request)}/"


def _to_login(request: Request) -> Response:
    path = request.url.path if request.method == "GET" else f"{root_of(request)}/"
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    return RedirectResponse(f"{root_of(request)}/login?next={quote(path + query, safe='')}", 303)
