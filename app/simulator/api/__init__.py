"""Stripe's HTTP API around a simulated account, for the official library to talk to.

    account = Account(seed=7)
    async with serving(account) as base_url:
        client = StripeClient(API_KEY, base_addresses={"api": base_url})
        customer = await client.v1.customers.create_async({"email": "ada@example.com"})

What is done over HTTP is done to the account, with its events; what is done to the account is seen over HTTP.
"""

from .app import stripe_api_app
from .checkouts import complete_checkout
from .faults import ApiFaults, Fault, FaultKind, Hold, Traffic
from .keys import API_KEY
from .routes import ROUTES
from .serving import serving, serving_in_thread

__all__ = [
    "API_KEY",
    "ROUTES",
    "ApiFaults",
    "Fault",
    "FaultKind",
    "Hold",
    "Traffic",
    "complete_checkout",
    "serving",
    "serving_in_thread",
    "stripe_api_app",
]
