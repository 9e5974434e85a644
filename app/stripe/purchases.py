"""What is bought once: its id, and what a checkout session says was bought."""

import re
from typing import NamedTuple

from .objects import Values, as_dict, as_id, as_object_id, as_text

GRANT_KEY = "grant"
"""The metadata key of a checkout session that names what is bought, such as `credits.top_up_100`."""
QUANTITY_KEY = "grant_quantity"
MAX_QUANTITY = 1_000_000
OFFER = re.compile(r"(credits|plans)\.([A-Za-z0-9_.-]{1,100})")
PAID = frozenset({"paid", "no_payment_required"})


class Bought(NamedTuple):
    """What a checkout session says was bought once."""

    offer: str
    quantity: int


def purchase_id(content: Values) -> str | None:
    """The id under which a purchase is stored.

    The payment intent's: the session of the mode `payment`, the charge, its refunds and the dispute name it.
    The session's own where nothing was to be paid.
    """
    kind = as_text(content.get("object"))
    if kind == "checkout.session":
        if as_text(content.get("mode")) != "payment" or bought(content) is None:
            return None
        return as_object_id(content.get("payment_intent")) or as_id(content.get("id"))
    if kind in ("charge", "dispute", "refund"):
        return as_object_id(content.get("payment_intent"))
    return None


def bought(session: Values) -> Bought | None:
    """What a checkout session says was bought; None where its metadata names nothing."""
    metadata = as_dict(session.get("metadata"))
    offer = as_text(metadata.get(GRANT_KEY))
    if offer is None or OFFER.fullmatch(offer) is None:
        return None
    written = as_text(metadata.get(QUANTITY_KEY)) or "1"
    quantity = int(written) if re.fullmatch(r"[0-9]{1,7}", written, re.ASCII) else 1
    return Bought(offer, min(max(quantity, 1), MAX_QUANTITY))
