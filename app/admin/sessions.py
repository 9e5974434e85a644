"""Sessions in a signed cookie, which every replica accepts; the audit trail says which were ended.

The key is derived from the password's hash: a new password ends every session, and replicas need no other
setting.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "billing_admin"
BROWSER_COOKIE = "billing_admin_browser"
KNOWN_SECONDS = 180 * 86_400
IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
RENEW_AFTER_SECONDS = 60
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in (None: nobody yet), and the CSRF token of their forms. Times are Unix seconds."""

    user: str | None
    token: str
    began: int
    seen: int

    @property
    def digest(self) -> str:
        """Names the session in the audit trail, without the token."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:32]


class Sessions:
    """Makes, reads and writes sessions. `clock` gives Unix seconds."""

    def __init__(self, username: str, password_hash: str, clock: Callable[[], float]) -> None:
        key = hmac.digest(password_hash.encode(), b"subscription service: admin session", "sha256")
        self._serializer = URLSafeSerializer(key, signer_kwargs={"digest_method": hashlib.sha256})
        self._browsers = URLSafeSerializer(
            hmac.digest(key, username.encode(), "sha256"), signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._username = username
        self._clock = clock

    def begin(self, user: str | None) -> Session:
        """A new session with a new token: a token from before the log-in is not accepted after it."""
        now = int(self._clock())
        return Session(user, secrets.token_urlsafe(24), now, now)

    def read(self, request: Request) -> Session | None:
        """The session of a request's cookie, unless it has expired."""
        try:
            session = Session(**self._serializer.loads(request.cookies.get(COOKIE, "")))
        except (BadSignature, TypeError, ValueError):
            return None
        now = int(self._clock())
        expired = now - session.seen > IDLE_SECONDS or now - session.began > LONGEST_SECONDS
        return None if expired or session.user not in (None, self._username) else session

    def renewed(self, session: Session) -> Session:
        """The session as seen now; unchanged while the cookie is younger than RENEW_AFTER_SECONDS."""
        now = int(self._clock())
        return replace(session, seen=now) if now - session.seen > RENEW_AFTER_SECONDS else session

    def write(self, request: Request, response: Response, session: Session) -> None:
        value = {name: getattr(session, name) for name in Session.__slots__}
        response.set_cookie(COOKIE, str(self._serializer.dumps(value)), **_attributes(request))

    def remember_browser(self, request: Request, response: Response) -> None:
        """Mark the browser as one that the admin has logged in with: strangers cannot lock it out."""
        value = self._browsers.dumps([secrets.token_urlsafe(12), int(self._clock())])
        response.set_cookie(
            BROWSER_COOKIE,
            str(value),
            max_age=KNOWN_SECONDS,
            **(_attributes(request) | {"samesite": "strict"}),
        )

    def known_browser(self, request: Request) -> str | None:
        """The id of a browser that has logged in within the last months; None for any other."""
        try:
            name, since = self._browsers.loads(request.cookies.get(BROWSER_COOKIE, ""))
        except (BadSignature, TypeError, ValueError):
            return None
        return str(name) if int(self._clock()) - int(since) <= KNOWN_SECONDS else None

    def end(self, request: Request, response: Response) -> None:
        response.delete_cookie(COOKIE, **_attributes(request))


def _attributes(request: Request) -> dict[str, Any]:
    plain = request.url.scheme == "http" and request.url.hostname in LOCAL
    path = request.scope.get("root_path") or "/"
    return {"path": path, "httponly": True, "samesite": "lax", "secure": not plain}
