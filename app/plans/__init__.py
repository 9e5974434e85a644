"""The plan catalogue: which features there are, and what each plan and add-on gives of them."""

from .access import AccessPolicy, AccessRule, CollectionPolicy, PauseCause, PausedPolicy, pause_cause
from .catalogue import (
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
    "CollectionPolicy",
    "Feature",
    "Kind",
    "Limit",
    "OverrideOp",
    "PauseCause",
    "PausedPolicy",
    "Plan",
    "Reset",
    "Value",
    "load_catalogue",
    "pause_cause",
    "read_override",
    "read_size",
]
