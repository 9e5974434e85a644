"""Where checkout and portal may send people back to: only to origins of ALLOWED_RETURN_ORIGINS.

An address is taken apart by a pattern that allows little, not by a parser that forgives much: what browsers
and parsers read differently (user names before an `@`, backslashes, control characters, letters beyond
ASCII) is not matched at all.
"""

import re
from collections.abc import Collection

from ..errors import InvalidRequest

MAX_LENGTH = 2000
ADDRESS = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    # A path that begins with // would be an address of its own wherever it is passed on without the host.
    r"(?P<rest>(?:/(?!/)|[?#])[!#-;=?-\[\]_a-z{|}~]*)?",
    re.IGNORECASE | re.ASCII,
)
DEFAULT_PORTS = {"https": "443", "http": "80"}


def check_return_url(url: str, allowed: Collection[str], field: str) -> str:
    """The address, if it leads to one of the allowed origins: the same scheme, host and port.

    Raises:
        InvalidRequest: else, naming the setting; the address itself is not repeated.
    """
    if not allowed:
        raise _refused(field, "no origin is allowed yet")
    origin = origin_of(url)
    if origin is None or origin not in {origin_of(each) for each in allowed}:
        raise _refused(field, "it must be an address on one of the allowed origins")
    return url


def origin_of(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port, the default port written out; None for what is not plainly an address."""
    found = ADDRESS.fullmatch(url) if len(url) <= MAX_LENGTH else None
    if found is None:
        return None
    scheme, host = found["scheme"].lower(), found["host"].lower()
    return scheme, host, found["port"] or DEFAULT_PORTS[scheme]


def _refused(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field}: {why}. Set ALLOWED_RETURN_ORIGINS to the origins that people may be sent back to, such as "
        "https://app.example.com. Nothing was changed.",
        field=field,
    )
