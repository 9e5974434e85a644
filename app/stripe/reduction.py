"""Reduces what Stripe sent to what names nobody: ids, amounts, states and times stay, all other text goes.

Which texts stay is decided by the name of their member, and by their shape: an id or a word of Stripe's has
neither a blank nor an `@`. Numbers, truth values and nulls stay everywhere.
"""

import re
from collections.abc import Collection
from typing import Any

import orjson

# fmt: off
WORDS = frozenset((
    "id", "object", "type", "api_version", "created", "livemode", "account", "context", "status", "currency",
    "customer", "subscription", "invoice", "price", "plan", "product", "charge", "payment_intent",
    "latest_invoice", "default_payment_method", "interval", "usage_type", "billing_reason",
    "collection_method", "reason", "mode", "payment_status", "behavior", "subscription_item",
    "snapshot_event", "customer_id", "subscription_id", "invoice_id", "plan_id", "item_id", "price_id",
    "product_id", "charge_id", "dispute_id", "event_id", "signal", "feature",
))
# fmt: on
"""The members whose texts are ids and words of Stripe's."""
OWN = frozenset({"user_id", "client_reference_id", "lookup_key", "remedy"})
"""The members whose texts are the application's own: its ids of users, and names of its prices."""
WORD = re.compile(r"[\w.:/-]{1,255}", re.ASCII)
NAME = re.compile(r"[a-z0-9_]{1,100}")
"""How Stripe names the members of its objects; another name may be somebody's, as in metadata."""
PATH = re.compile(r"/v[12]/[\w/.]{1,255}", re.ASCII)


def reduced(body: str, link_keys: Collection[str] = ("user_id",)) -> str:
    """A raw event with nothing left that names a person; one that cannot be read is emptied.

    `link_keys`: the metadata keys that name a user, which stay.
    """
    try:
        return orjson.dumps(reduced_value(orjson.loads(body), link_keys)).decode()
    except orjson.JSONDecodeError:
        return "{}"


def reduced_value(value: Any, link_keys: Collection[str] = ("user_id",), name: str = "") -> Any:
    """The same for a part of an event, which stands under this name."""
    if isinstance(value, dict):
        if name == "metadata":
            return {key: text for key, text in value.items() if key in link_keys}
        return {
            key: reduced_value(inner, link_keys, key) for key, inner in value.items() if NAME.fullmatch(key)
        }
    if isinstance(value, list):
        return [reduced_value(inner, link_keys, name) for inner in value]
    return value if not isinstance(value, str) or _stays(name, value) else None


def _stays(name: str, text: str) -> bool:
    if name == "url":
        return PATH.fullmatch(text) is not None  # where a thin event's object is read
    return name in OWN or (name in WORDS and WORD.fullmatch(text) is not None)
