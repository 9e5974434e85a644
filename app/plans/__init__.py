"""The plan catalogue: which features there are, and what each plan and add-on gives of them."""

from .catalogue import (
    AccessPolicy,
    AccessRule,
    Addon,
    Catalogue,
    Feature,
    Kind,
    Limit,
    OverrideOp,
    Plan,
    Reset,
    read_override,
)
from .file import load_catalogue
from .values import MAX_AMOUNT, Value, read_size

__all__ = [
    "MAX_AMOUNT",
    "AccessPolicy",
    "AccessRule",
    "Addon",
    "Catalogue",
    "Feature",
    "Kind",
    "Limit",
    "OverrideOp",
    "Plan",
    "Reset",
    "Value",
    "load_catalogue",
    "read_override",
    "read_size",
]
