"""`Retry-After` of an answer (RFC 9110): seconds, or an HTTP date."""

import re
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

ASKED_TO_WAIT = frozenset({429, 503})
"""The statuses whose `Retry-After` says when the next request is welcome."""
SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
MAX_LENGTH = 100


def retry_at(status: int, headers: Iterable[tuple[bytes, bytes]], now: int) -> int | None:
    """The moment before which the receiver wants no other request, in Unix seconds; None where it says none.

    What cannot be read counts as nothing: the receiver still gets the message, by the usual waits.
    """
    if status not in ASKED_TO_WAIT:
        return None
    found = [value for name, value in headers if name.lower() == b"retry-after"]
    text = found[0].decode("latin-1").strip() if found else ""
    if SECONDS.fullmatch(text):
        return now + int(text)
    try:
        moment = parsedate_to_datetime(text[:MAX_LENGTH])
        # A date without a zone is in UTC: HTTP knows no other.
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
