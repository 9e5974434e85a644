"""What a limit is worth: how it is written in `plans.toml` and in overrides, and how limits add up.

`None` alone is unlimited; 0, False and the empty text deny. No number exceeds `MAX_AMOUNT`.
"""

import math
import re
from fractions import Fraction
from typing import Final, Literal

Value = int | float | bool | str | None
Type = Literal["number", "flag", "text"]

MAX_AMOUNT: Final = 2**63 - 1
"""The greatest limit and the greatest usage: what a BIGINT column holds."""

UNLIMITED: Final = "unlimited"
EMPTY: Final[dict[Type, Value]] = {"number": 0, "flag": False, "text": ""}
"""What a user has of a feature that no plan gives: it denies."""

_PREFIXES = "kMGTPE"
_UNITS: Final[dict[str, int]] = (
    {"B": 1, "KB": 1000}
    | {f"{prefix}B": 1000**power for power, prefix in enumerate(_PREFIXES, 1)}
    | {f"{prefix.upper()}iB": 1024**power for power, prefix in enumerate(_PREFIXES, 1)}
)
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[A-Za-z]+)", re.ASCII)
_MAX_SIZE_LENGTH = 40
_NEGATIVE = re.compile(r"[-−]\s*(?:[0-9]+(?:\.[0-9]+)?|inf(?:inity)?)", re.IGNORECASE)


def read_amount(raw: object) -> int | None:
    """A limit that is counted: a whole number, a size in bytes, or None for "unlimited".

    Raises:
        ValueError: saying what is wrong and what to write.
    """
    if raw == UNLIMITED:
        return None
    if isinstance(raw, str):
        return read_size(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ValueError(f'takes a whole number, a size such as "10 GiB", or "unlimited", not {_shown(raw)}')
    return int(_in_range(raw))


def read_size(text: str) -> int:
    """Bytes, exactly: "500 MB" is 500,000,000 and "1.5 GiB" is 1,610,612,736.

    Raises:
        ValueError: for another unit, a part of a byte, or more than `MAX_AMOUNT`.
    """
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_SIZE_LENGTH else None
    if match is None or match["unit"] not in _UNITS:
        units = ", ".join(_UNITS)
        raise ValueError(f'{_shown(text)} is no size: write a number and a unit ({units}), or "unlimited"')
    size = Fraction(match["number"]) * _UNITS[match["unit"]]
    if size.denominator != 1:
        raise ValueError(f"{_shown(text)} is not a whole number of bytes")
    return int(_in_range(int(size)))


def read_flag(raw: object) -> bool:
    """Whether the feature is included.

    Raises:
        ValueError: for anything but true and false.
    """
    if not isinstance(raw, bool):
        raise ValueError(f"is a boolean feature: write true or false, not {_shown(raw)}")
    return raw


def read_static(raw: object) -> Value:
    """A typed value: a number, a size in bytes, true or false, a text, or None for "unlimited".

    Raises:
        ValueError: for arrays, tables, dates, and numbers out of range.
    """
    if raw == UNLIMITED:
        return None
    if isinstance(raw, str):
        match = _SIZE.fullmatch(raw)
        return read_size(raw) if match is not None and match["unit"] in _UNITS else _read_text(raw)
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, int | float):
        raise ValueError(f"takes a number, a text, true or false, not {_shown(raw)}")
    return _in_range(raw)


def _read_text(raw: str) -> str:
    """A text that is meant as one: no other spelling of unlimited, no number below 0."""
    if raw.strip().casefold() == UNLIMITED or _NEGATIVE.fullmatch(raw.strip()):
        raise ValueError(f'{_shown(raw)} would be a text like any other: write "unlimited" for no limit')
    return raw


def type_of(value: Value) -> Type:
    """The type of a value that was read. Unlimited is a number."""
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number"


def times(value: Value, units: int) -> Value:
    """The value of so many units; only numbers grow, and nothing times 0 is something."""
    if units == 0:
        return EMPTY[type_of(value)]
    if value is None or isinstance(value, bool | str):
        return value
    return min(value * units, MAX_AMOUNT)


def plus(value: Value, more: Value) -> Value:
    """Both together: unlimited stays unlimited, switches are on if either is, a text replaces a text."""
    if value is None or more is None:
        return None
    if isinstance(value, bool | str) or isinstance(more, bool | str):
        return more or value
    return min(value + more, MAX_AMOUNT)


def minus(value: Value, less: Value) -> Value:
    """What is left: never below 0, and unlimited less a number is still unlimited."""
    if less is None or isinstance(value, bool | str) or isinstance(less, bool | str):
        return EMPTY[type_of(value)]
    return None if value is None else max(value - less, 0)


def strength(value: Value) -> float | int:
    """What makes one value better than another: unlimited is the best, denial the worst."""
    if value is None:
        return math.inf
    return int(bool(value)) if isinstance(value, bool | str) else value


def limit_of(value: Value) -> int | None:
    """The value as a limit on a count: None is unlimited, 0 denies."""
    if value is None:
        return None
    if isinstance(value, bool | str):
        return None if value else 0
    return math.floor(value)


def _in_range(number: int | float) -> int | float:
    if not 0 <= number <= MAX_AMOUNT:  # false for nan, too
        remedy = "" if number >= 0 else ': write "unlimited" for no limit'
        raise ValueError(f"must lie between 0 and {MAX_AMOUNT} (2**63-1), not {_shown(number)}{remedy}")
    return number


def _shown(raw: object) -> str:
    text = f'"{raw}"' if isinstance(raw, str) else str(raw).lower() if isinstance(raw, bool) else str(raw)
    return text if len(text) <= _MAX_SIZE_LENGTH else text[:_MAX_SIZE_LENGTH] + "…"
