"""Limits and amounts of use in words: `10 projects`, `1.5 GiB`, `unlimited`, `included`."""

from typing import Final

from .catalogue import Feature
from .values import Value

BYTES: Final = "bytes"
"""The unit of a feature whose amounts are shown as sizes."""
_SIZES: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def shown_limit(feature: Feature, value: Value) -> str:
    """A limit or a static value, for people; None is unlimited."""
    if isinstance(value, bool):
        return "included" if value else "not included"
    if value is None:
        return "unlimited"
    if isinstance(value, str):
        return value or "not included"
    return shown_number(feature, value)


def shown_number(feature: Feature, number: int | float) -> str:
    """A number with the feature's unit; as a size where that is bytes."""
    if feature.unit == BYTES:
        return shown_size(number)
    return f"{number:,} {feature.unit}" if feature.unit else f"{number:,}"


def shown_size(number: int | float) -> str:
    """`512 bytes`, `1.5 GiB`: at most one decimal."""
    if number < 1024:
        return f"{number:,} bytes"
    sizes = [(number / 1024**power, unit) for power, unit in enumerate(_SIZES, 1)]
    size, unit = next((each for each in sizes if each[0] < 1023.95), sizes[-1])
    return f"{size:,.1f}".removesuffix(".0") + f" {unit}"
