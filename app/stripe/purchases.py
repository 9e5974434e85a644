"""What is bought once: its id, and what a checkout session says was bought."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .objects import (
    Values,
    as_dict,
    as_id,
    as_integer,
    as_object_id,
    as_text,
    as_user_id,
    named_user,
)

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
        if as_text(content.get("mode")) != "payment" or not (bought(content) or may_sell_once(content)):
            return None
        return as_object_id(content.get("payment_intent")) or as_id(content.get("id"))
    if kind in ("charge", "dispute", "refund"):
        return as_object_id(content.get("payment_intent"))
    return None


def buyer_named(session: Values, link_keys: Sequence[str]) -> str | None:
    """The user whom the session names as its buyer. A guest has no customer whose user it could be.

    `link_keys` are the metadata keys that name a user.
    """
    named = named_user(session, link_keys)
    if named is None and as_object_id(session.get("customer")) is None:
        return as_user_id(session.get("client_reference_id"))
    return named


class Line(NamedTuple):
    """A line of a session: what it sold, by its price, and how many."""

    price_id: str | None
    lookup_key: str | None
    quantity: int


def may_sell_once(session: Values) -> bool:
    """Whether a session whose metadata names no offer may sell one: it shows its lines, or is of a link.

    A payment link whose metadata has a `grant` that names none, such as `none`, sells something else.
    """
    if GRANT_KEY in as_dict(session.get("metadata")):
        return False
    return lines_of(session) is not None or as_id(session.get("payment_link")) is not None


def lines_of(session: Values) -> list[Line] | None:
    """The session's lines; None where it does not show them: Stripe's events do not."""
    lines = as_dict(session.get("line_items")).get("data")
    if not isinstance(lines, list):
        return None
    found = [
        (as_dict(as_dict(each).get("price")), as_integer(as_dict(each).get("quantity"))) for each in lines
    ]
    return [
        Line(as_id(price.get("id")), as_text(price.get("lookup_key")), min(max(many or 1, 1), MAX_QUANTITY))
        for price, many in found
    ]


def bought(session: Values) -> Bought | None:
    """What a checkout session says was bought; None where its metadata names nothing."""
    metadata = as_dict(session.get("metadata"))
    offer = as_text(metadata.get(GRANT_KEY))
    if offer is None or OFFER.fullmatch(offer) is None:
        return None
    written = as_text(metadata.get(QUANTITY_KEY)) or "1"
    quantity = int(written) if re.fullmatch(r"[0-9]{1,7}", written, re.ASCII) else 1
    return Bought(offer, min(max(quantity, 1), MAX_QUANTITY))
