"""Moments as people write them."""

import re
from datetime import UTC, datetime

from ..errors import InvalidRequest
from ..stripe.objects import MAX_SECONDS

EXAMPLE = "2026-11-20 14:30 (UTC), 2026-11-20T14:30+01:00 or Unix seconds"
SECONDS = re.compile(r"[0-9]{5,12}", re.ASCII)


def read_moment(text: str) -> int:
    """A moment as people write it, in Unix seconds; without an offset it is UTC, a day begins at midnight.

    Raises:
        InvalidRequest: when it is none, or lies before 1970 or after 9999.
    """
    text = text.strip()
    seconds = int(text) if SECONDS.fullmatch(text) else _from_iso(text)
    if seconds is None or not 0 <= seconds <= MAX_SECONDS:
        raise InvalidRequest(f"at: {text[:40]!r} is no moment: write {EXAMPLE}.")
    return seconds


def _from_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
