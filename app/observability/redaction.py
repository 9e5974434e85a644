"""Errors as they may be kept and shown: where they happened and of which kind, never about whom."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_tb
from typing import Any

from .. import ROOT

MAX_FRAMES = 30
MAX_TEXT = 10_000
REDACTED = "[redacted]"
ID = re.compile(r"[a-z]{1,16}_\w+")
"""Stripe's ids and words of two parts, such as `past_due`: they say what an error is about, and not who."""
AS_IT_IS = re.compile(r"[ !#-&(-\[\]-~]*")
"""Text that Python and JSON write without an escape."""


def redacted(text: str, *contents: Any) -> str:
    """`text` without any of the texts in `contents`, as they are or as Python or JSON would write them."""
    text = text[:MAX_TEXT]
    longest = len(text)  # what is longer cannot be in it: an event may hold thousands of texts
    values = {value for content in contents for value in _texts(content) if 2 < len(value) <= longest}
    for value in sorted(values, key=len, reverse=True):
        if not ID.fullmatch(value):
            for form in _forms(value):
                text = text.replace(form, REDACTED)
    return text


def _forms(value: str) -> tuple[str, ...]:
    """The text as it is, and as Python and JSON would write it."""
    if AS_IT_IS.fullmatch(value):
        return (value,)
    return value, repr(value)[1:-1], json.dumps(value)[1:-1]


def _texts(content: Any) -> Iterator[str]:
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def described(error: BaseException | None) -> list[dict[str, Any]]:
    """The error and what led to it, each with its kind and its frames; a message may hold anybody's data."""
    found: list[dict[str, Any]] = []
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop(0)
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        found.append({"type": type(error).__name__, "at": _frames(error)})
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        waiting.append(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    return found


def _frames(error: BaseException) -> list[str]:
    frames = [
        f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)
    ]
    return frames[-MAX_FRAMES:]


def _short(filename: str) -> str:
    path = Path(filename)
    if path.is_relative_to(ROOT.parent) and "site-packages" not in path.parts:
        return str(path.relative_to(ROOT.parent))
    return str(Path(*path.parts[-2:]))
