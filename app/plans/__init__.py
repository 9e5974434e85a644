"""The plan catalogue: which features there are, and what each plan and add-on gives of them."""

from .access import AccessPolicy, AccessRule, CollectionPolicy, PauseCause, PausedPolicy, pause_cause
from .catalogue import (
    Addon,
    Catalogue,
    ChangePolicy,
    Feature,
    Ignored,
    Kind,
    Limit,
    Offer,
    OverrideOp,
    Plan,
    Reset,
    When,
    read_override,
)
from .credits import Credits, Once
from .file import load_catalogue, parse_catalogue
from .items import HeldItem, held_items, main_item, price_ids
from .prices import KnownPrice, PriceList, line_to_add
from .pricing import Missing, PriceTerms, Pricing
from .values import MAX_AMOUNT, Value, read_size

__all__ = [
    "MAX_AMOUNT",
    "AccessPolicy",
    "AccessRule",
    "Addon",
    "Catalogue",
    "ChangePolicy",
    "CollectionPolicy",
    "Credits",
    "Feature",
    "HeldItem",
    "Ignored",
    "Kind",
    "KnownPrice",
    "Limit",
    "Missing",
    "Offer",
    "Once",
    "OverrideOp",
    "PauseCause",
    "PausedPolicy",
    "Plan",
    "PriceList",
    "PriceTerms",
    "Pricing",
    "Reset",
    "Value",
    "When",
    "held_items",
    "line_to_add",
    "load_catalogue",
    "main_item",
    "parse_catalogue",
    "pause_cause",
    "price_ids",
    "read_override",
    "read_size",
]
