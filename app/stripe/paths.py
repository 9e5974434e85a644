"""Where objects are read at Stripe, and what may become part of such an address."""

import re

from ..errors import NotFound

PATHS = {
    "subscription": "/v1/subscriptions/{}",
    "customer": "/v1/customers/{}",
    "invoice": "/v1/invoices/{}",
    "checkout.session": "/v1/checkout/sessions/{}",
    "charge": "/v1/charges/{}",
    "dispute": "/v1/disputes/{}",
    "price": "/v1/prices/{}",
    "product": "/v1/products/{}",
    "invoice_payment": "/v1/invoice_payments/{}",
    "credit_note": "/v1/credit_notes/{}",
    "refund": "/v1/refunds/{}",
    "radar.early_fraud_warning": "/v1/radar/early_fraud_warnings/{}",
}
"""Where one object of each kind is read."""
SCHEDULE = "/v1/subscription_schedules/{}"
NESTED = {
    "subscription": ("items", "/v1/subscription_items", "subscription"),
    "invoice": ("lines", "/v1/invoices/{}/lines", ""),
}
"""The nested list that a record is made of, where it is listed, and the parameter with the object's id."""
SEGMENT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
"""A part of a path: an id such as `../x` never leads to another address."""
API_PATH = re.compile(r"/v[12]/[\w./-]+(\?[!-~]*)?")
"""What may be asked for as Stripe names it: the path of an event's object, the next page of a list."""


def segment(text: str) -> str:
    """The id, which is to become a part of a path.

    Raises:
        NotFound: when it cannot be one of Stripe's: it could lead to another address.
    """
    if SEGMENT.fullmatch(text) is None:
        raise NotFound("Stripe has no object with such an id.")
    return text


def check_path(path: str) -> None:
    """
    Raises:
        NotFound: when a part of the path, as in `/../`, could lead to another address.
    """
    for part in path.partition("?")[0][1:].split("/"):
        segment(part)
