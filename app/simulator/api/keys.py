"""API keys. Only visibly fake ones are taken, so that a real one sent here by mistake does nothing."""

import base64
import binascii
import re

from .errors import ApiError

KEY = re.compile(r"[sr]k_(test|live)_fake_\w*")
API_KEY = "sk_test_fake_simulator"


def mode_of(authorization: str | None, only: str | None) -> str:
    """`test` or `live`, by the key of a Bearer or Basic header; where `only` is given, no other key will do.

    Raises:
        ApiError: 401 for a missing or wrong key.
    """
    key = _key(authorization or "")
    if not key:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
        )
    found = KEY.fullmatch(key)
    if found is None or (only is not None and key != only):
        shown = 8 if len(key) > 16 else 0
        hidden = key[:shown] + "*" * (len(key) - shown - 4) + key[-4:]
        raise ApiError(
            401,
            f"Invalid API Key provided: {hidden}",
            headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
        )
    return found[1]


def _key(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
