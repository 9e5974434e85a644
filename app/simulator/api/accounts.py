"""The account that a key is of."""

from ..shapes import Json
from . import forms
from .call import Call
from .errors import ApiError


def get_account(call: Call) -> Json:
    """With an id, only the account's own is there: the simulator has no connected accounts.

    Raises:
        ApiError: 403 for any other id.
    """
    forms.known(call.params, ("expand",))
    account = call.account
    if call.id not in ("", account.id):
        raise ApiError(
            403,
            f"The provided key does not have access to account '{call.id}' (or that account does not exist). "
            "Application access may have been revoked.",
            code="account_invalid",
        )
    return {
        "id": account.id,
        "object": "account",
        "business_profile": {"name": "Example", "support_email": None, "url": None},
        "business_type": None,
        "capabilities": {},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Example", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def get_balance(call: Call) -> Json:
    """Everything that was paid is still there: the simulator pays nothing out."""
    forms.known(call.params, ("expand",))
    paid: dict[str, int] = {}
    for invoice in call.account.invoices.values():
        if invoice.status == "paid":
            paid[invoice.currency] = paid.get(invoice.currency, 0) + invoice.amount_paid
    available = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(paid.items())
    ]
    return {
        "object": "balance",
        "available": available,
        "connect_reserved": None,
        "livemode": call.account.livemode,
        "pending": [],
        "refund_and_dispute_prefunding": None,
    }
