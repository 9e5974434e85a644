"""Prices, the plans that they are shown as too, and tax rates."""

from .model import Price
from .shapes import Json


def render_tax_rate(id: str) -> Json:
    """A tax rate, of which the simulator keeps only the id: it computes no taxes."""
    return {
        "id": id,
        "object": "tax_rate",
        "active": True,
        "country": None,
        "created": 1_700_000_000,
        "description": None,
        "display_name": "Tax",
        "effective_percentage": 0.0,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "livemode": False,
        "metadata": {},
        "percentage": 0.0,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    }


def render_price(price: Price) -> Json:
    return {
        "id": price.id,
        "object": "price",
        "active": price.active,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": price.lookup_key,
        "metadata": dict(price.metadata),
        "nickname": price.nickname,
        "product": price.product,
        "recurring": _recurring(price) if price.recurring else None,
        "tax_behavior": price.tax_behavior,
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if price.recurring else "one_time",
        "unit_amount": price.unit_amount,
        "unit_amount_decimal": str(price.unit_amount),
    }


def render_currency_options(price: Price) -> Json:
    """The amount in every currency, its own included."""
    return {
        currency: {
            "custom_unit_amount": None,
            "tax_behavior": price.tax_behavior,
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        }
        for currency, amount in {price.currency: price.unit_amount, **price.currency_options}.items()
    }


def _recurring(price: Price) -> Json:
    return {
        "interval": price.interval,
        "interval_count": price.interval_count,
        "meter": None,
        "trial_period_days": price.trial_period_days,
        "usage_type": price.usage_type,
    }


def render_plan(price: Price) -> Json:
    return {
        "id": price.id,
        "object": "plan",
        "active": price.active,
        "amount": price.unit_amount,
        "amount_decimal": str(price.unit_amount),
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "interval": price.interval,
        "interval_count": price.interval_count,
        "livemode": False,
        "metadata": dict(price.metadata),
        "meter": None,
        "nickname": price.nickname,
        "product": price.product,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": price.trial_period_days,
        "usage_type": price.usage_type,
    }
