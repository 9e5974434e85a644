"""What Stripe shows of prices and products, as it is kept. Amounts in minor currency units."""

import re

from .objects import Values, as_bool, as_dict, as_integer, as_text

MAX_LOOKUP_KEY_LENGTH = 255
MAX_TEXT_LENGTH = 5_000
MAX_DECIMAL_LENGTH = 40
CURRENCY = re.compile("[a-z]{3}")


def price_values(content: Values, *, deleted: bool = False) -> Values:
    """What a price costs ("The Price object"), and whether it is sold; a deleted one is not.

    A price with tiers has no `unit_amount`, nor has one whose amount the customer chooses. A fraction of a
    minor unit is in `unit_amount_decimal` alone.
    """
    recurring = as_dict(content.get("recurring"))
    transform = as_dict(content.get("transform_quantity"))
    tiers = content.get("billing_scheme") == "tiered"
    return {
        "active": content.get("active") is not False and not deleted,
        "currency": as_text(content.get("currency")),
        "unit_amount": as_integer(content.get("unit_amount")),
        "unit_amount_decimal": _short(content.get("unit_amount_decimal"), MAX_DECIMAL_LENGTH),
        "interval": as_text(recurring.get("interval")),
        "interval_count": as_integer(recurring.get("interval_count")),
        "metered": recurring.get("usage_type") == "metered",
        "tiers": (as_text(content.get("tiers_mode")) or "tiered") if tiers else None,
        "custom": bool(as_dict(content.get("custom_unit_amount"))),
        "divide_by": as_integer(transform.get("divide_by")),
    }


def currency_values(content: Values) -> dict[str, Values] | None:
    """What a price costs in each currency but its own; None where Stripe was not asked to show it.

    `currency_options` are shown only where they are expanded, so no event has them.
    """
    options = content.get("currency_options")
    if not isinstance(options, dict):
        return None
    return {
        currency: {
            "unit_amount": as_integer(option.get("unit_amount")),
            "unit_amount_decimal": _short(option.get("unit_amount_decimal"), MAX_DECIMAL_LENGTH),
            "custom": bool(as_dict(option.get("custom_unit_amount"))),
        }
        for currency, option in options.items()
        if CURRENCY.fullmatch(currency) and currency != content.get("currency") and isinstance(option, dict)
    }


def current_lookup_key(content: Values) -> str | None:
    """The lookup key that the price has now."""
    return _short(content.get("lookup_key"), MAX_LOOKUP_KEY_LENGTH) or None


def product_values(content: Values, *, deleted: bool = False) -> Values:
    """What a product is called ("The Product object"), and whether it is sold."""
    return {
        "name": _short(content.get("name"), MAX_TEXT_LENGTH),
        "description": _short(content.get("description"), MAX_TEXT_LENGTH),
        "active": as_bool(content.get("active")) is not False and not deleted,
    }


def _short(value: object, most: int) -> str | None:
    """A text that the database can hold."""
    text = as_text(value)
    return text if text is not None and len(text) <= most and "\x00" not in text else None
