"""Marked secrets and people, and every path of a server that may tell them."""

from typing import Any

import orjson

from app.errors import ServiceError

MARK = "kanarie"
PASSWORD = "kanarie-of-the-database-0001"
SECRET = "whsec_test_kanarie_0002"
KEY = "test-key-kanarie-of-the-internal-api-0003"
EMAIL, NAME = "ada.kanarie.0004@example.com", "Ada \u201cKanarie\u201d\nLovelace-0005"
FORGED = '{"event": "forged", "level": "info"}'
NASTY = f'\x1b[31m\n{FORGED}\r\x9b0m" , "event": "forged'
"""A name that would be a line of its own, an order to a terminal, and the end of a JSON text."""


def event(event_id: str, **members: Any) -> bytes:
    customer = {"id": "cus_1", "object": "customer", "email": EMAIL, "name": NAME, "note": NASTY}
    content = {"id": event_id, "type": "customer.updated", "created": 1_893_456_000}
    return orjson.dumps(content | {"data": {"object": customer}} | members)


def raising(event: Any, unit_of_work: Any) -> None:
    """A receiver whose errors say all they know."""
    content = event.object
    if event.id == "evt_values":
        int(content["email"])
    if event.id == "evt_repr":
        raise LookupError(f"no such person: {content!r}")
    if event.id == "evt_plain":
        raise KeyError(content["name"] + content["note"])
    if event.id == "evt_ours":
        raise ServiceError(f"{content['name']} <{content['email']}> is not welcome")
    if event.id == "evt_chain":
        try:
            raise ValueError(content["email"])
        except ValueError as error:
            raise RuntimeError(f"because of {error}") from error
