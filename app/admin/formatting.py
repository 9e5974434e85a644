"""Values as text for a page, whatever they contain.

Jinja escapes HTML. This module does the rest: it makes control characters visible, isolates right-to-left
text from its surroundings, and cuts long text, with the rest behind a click.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from markupsafe import Markup

from .. import formatting
from ..db.audit import action_name, subject_name

SHORT = 80
LONGEST = 20_000
"""Characters of one value that a page shows at most; the page of an event shows the whole body."""

LONGEST_CURRENCY = 8
"""Currency codes have three letters; a longer one is cut, so that it cannot stretch a table."""
ACRONYMS = frozenset(["api", "sso", "sms", "mb", "gb", "id", "url", "ai"])
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def plain(value: object) -> str:
    """Text with its control characters made visible."""
    return _HIDDEN.sub(_named, str(value))


def _named(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of a control character
    return f"⟨{unicodedata.name(match[0], f'U+{code:04X}').title()}⟩"


def shown(value: object, limit: int = SHORT) -> Markup:
    """A value as text for a page, cut after `limit` characters with the rest behind a click."""
    if value is None or value == "":
        return Markup('<span class="none">–</span>')
    text = plain(value)
    if len(text) <= limit:
        return Markup("<bdi>{}</bdi>").format(text)
    rest = text[:LONGEST] + ("" if len(text) <= LONGEST else f"… ({len(text)} characters)")
    return Markup(
        '<details class="long"><summary><bdi>{}</bdi>…</summary>'
        '<div class="full"><bdi>{}</bdi></div></details>'
    ).format(text[:limit], rest)


def short(value: object, limit: int = SHORT) -> Markup:
    """As `shown`, for links and headings, where the rest cannot be unfolded."""
    text = plain(value)
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return Markup("<bdi>{}</bdi>").format(cut)


def when(seconds: int | None) -> Markup:
    """Unix seconds as a `<time>` element, in UTC."""
    if seconds is None:
        return Markup('<span class="none">–</span>')
    moment = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}"><span>{}</span> <span>{}</span></time>').format(
        moment.isoformat(), f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}"
    )


def day(seconds: int | None) -> str:
    """Unix seconds as a date and time in UTC, for a sentence."""
    return "?" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float | None) -> str:
    """A length of time, roughly."""
    return "–" if seconds is None else formatting.duration(seconds)


def money(amount: int | None, currency: str | None) -> str:
    """An amount in minor units, written in its currency."""
    code = plain(currency[:LONGEST_CURRENCY]) if currency else None
    return formatting.shown_amount(amount, code) or "–"


def number(value: int | float | None) -> str:
    """A number with thousands separators; None is unlimited."""
    return "unlimited" if value is None else f"{value:,}"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves at least 1, with at most two decimals."""
    unit, amount = "B", float(count)
    for greater in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if amount < 1024:
            break
        unit, amount = greater, amount / 1024
    return f"{amount:,.2f}".rstrip("0").rstrip(".") + f" {unit}"


def display_name(key: str) -> str:
    """A feature's or plan's key for people: `storage_bytes` as `Storage`, `sso` as `SSO`."""
    words = key.removesuffix("_bytes").replace("_", " ").split()
    shown = [word.upper() if word in ACRONYMS else word for word in words]
    text = " ".join(shown) or key
    return text[:1].upper() + text[1:]


def pretty(value: Any) -> str:
    """JSON for people."""
    if isinstance(value, str):
        return plain(value)
    return plain(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def web_address(value: object) -> str | None:
    """The address if it may become a link: only https, so that it cannot run a script."""
    if not isinstance(value, str) or len(value) > 2000 or not value.isprintable():
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme == "https" and parts.netloc else None


def encoded(value: object) -> str:
    """For a query string."""
    return quote(str(value), safe="", errors="replace")


FILTERS = {
    "action_name": action_name,
    "subject_name": subject_name,
    "shown": shown,
    "short": short,
    "when": when,
    "duration": duration,
    "number": number,
    "pretty": pretty,
    "encoded": encoded,
    "web_address": web_address,
    "plain": plain,
    "money": money,
    "display_name": display_name,
}
