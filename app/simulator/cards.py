"""Cards: Stripe's test tokens, and which of them are refused ("Testing")."""

from typing import NamedTuple

from .model import Record
from .shapes import Json


class Card(NamedTuple):
    """A test card; `attach_code` and `charge_code` say why attaching and charging it are refused."""

    brand: str
    last4: str
    attach_code: str | None = None
    charge_code: str | None = None


CARDS = {
    "visa": Card("visa", "4242"),
    "visa_debit": Card("visa", "5556"),
    "mastercard": Card("mastercard", "4444"),
    "amex": Card("amex", "8431"),
    "discover": Card("discover", "9424"),
    "chargeCustomerFail": Card("visa", "0341", charge_code="generic_decline"),
    "authenticationRequired": Card("visa", "3184", charge_code="authentication_required"),
    "chargeDeclined": Card("visa", "0002", "generic_decline", "generic_decline"),
    "visa_chargeDeclined": Card("visa", "0002", "generic_decline", "generic_decline"),
    "chargeDeclinedInsufficientFunds": Card("visa", "9995", "insufficient_funds", "insufficient_funds"),
    "visa_chargeDeclinedInsufficientFunds": Card("visa", "9995", "insufficient_funds", "insufficient_funds"),
    "chargeDeclinedExpiredCard": Card("visa", "0069", "expired_card", "expired_card"),
}
"""By the token's name without `pm_card_` or `tok_`."""

BY_LAST4 = {card.last4: card for card in CARDS.values()}


def card_of(token: str) -> Card | None:
    """The card behind `pm_card_visa`, `tok_visa` or a card's number; None for any other text."""
    name = token.removeprefix("pm_card_").removeprefix("tok_")
    if name != token:
        return CARDS.get(name)
    return BY_LAST4.get(token[-4:]) if token.isdecimal() else None


def charge_code(payment_method: Record | None) -> str | None:
    """Why this payment method is refused when it is charged; None where it is not."""
    if payment_method is None or "card" not in payment_method.content:
        return None
    card = BY_LAST4.get(payment_method.content["card"]["last4"])
    return card.charge_code if card is not None else None


def render_card(card: Card, exp_month: int = 8, exp_year: int = 2034) -> Json:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": f"simulated{card.last4}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
