"""Bytes to `StripeEvent`: one envelope for every shape that Stripe has sent since 2020.

Shapes are told apart by what is there, never by version: the endpoint's version decides what Stripe
sends, and an account may have endpoints of several. What is inside an object reads `stripe_objects`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from ..db.models import AuditEntry
from ..errors import InvalidPayload
from .objects import as_bool, as_dict, as_id, as_seconds, as_text, named_records

Source = Literal["stripe", "internal", "catch-up", "re-read"]

MAX_TYPE_LENGTH = 255


@dataclass(slots=True, eq=False, weakref_slot=True)
class StripeEvent:
    """One event as it arrived. `created` in Unix seconds."""

    id: str
    type: str
    created: int
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None
    livemode: bool | None = None
    account: str | None = None
    api_version: str | None = None
    thin: bool = False
    source: Source = "stripe"
    body: str = ""
    signature: str | None = None
    received_at: int = 0
    retry: bool = False
    """Whether the inbox has it already, and is to apply it again."""
    attempts: int = 0
    """How often it has been tried, since it was last replayed."""
    has_failed: bool = False
    """Whether it has ever failed in a receiver, so that it is not to be ignored for want of one."""
    failing_since: int | None = None
    read_at_version: int | None = None
    """For a snapshot that was read from Stripe: the record's version before (0: no record)."""
    stated: tuple[int, str] | None = None
    """For what was read because of a thin event: when (Unix seconds) and in which event Stripe said so."""
    actor: str | None = None
    """Who says it, for an event of the internal API."""
    audit: AuditEntry | None = None
    """For the trail, written in the event's transaction: the change at Stripe that it is the answer to."""
    problem: str | None = None
    """Why the envelope cannot be handled, when it cannot."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """The ids that the event's object names, by the kind of record."""
    object_id: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.object_id = as_id(self.object.get("id"))


def parse(body: bytes, *, signature: str | None, received_at: int, source: Source = "stripe") -> StripeEvent:
    """Read the envelope of an event.

    Raises:
        InvalidPayload: when the body is not UTF-8 or not a JSON object. Everything else makes an event.
    """
    payload, text = _decode(body)
    data = payload.get("data")
    thin = payload.get("object") == "v2.core.event"
    content = _related_object(payload) if thin else as_dict(as_dict(data).get("object"))
    previous = data.get("previous_attributes") if isinstance(data, dict) else None
    event_id, event_type, created = as_id(payload.get("id")), payload.get("type"), _created(payload)
    event = StripeEvent(
        # An id that cannot be one is replaced by the body's own: kept once, like any other event.
        id=event_id or f"unidentified_{hashlib.sha256(body).hexdigest()}",
        type=event_type if isinstance(event_type, str) and len(event_type) <= MAX_TYPE_LENGTH else "",
        created=created or 0,
        object=content,
        previous_attributes=previous if isinstance(previous, dict) else None,
        livemode=as_bool(payload.get("livemode")),
        account=as_id(payload.get("account")),
        api_version=as_text(payload.get("api_version")),
        thin=thin,
        source=source,
        body=text,
        signature=signature,
        received_at=received_at,
    )
    event.problem = _problem(event, has_id=event_id is not None, has_created=created is not None)
    event.names = named_records(event.object)
    return event


def _decode(body: bytes) -> tuple[dict[str, Any], str]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidPayload("The body is not UTF-8.") from None
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = _decode_leniently(text)
    if not isinstance(payload, dict):
        raise InvalidPayload("The body is not a JSON object.")
    try:
        # Escaped NULs are valid JSON, but PostgreSQL's text and jsonb cannot hold them.
        return (_without_nul(payload) if "\\u0000" in text else payload), text
    except RecursionError:
        raise InvalidPayload("The body is nested too deeply.") from None


def _decode_leniently(text: str) -> Any:
    """orjson refuses lone surrogates, which Stripe may echo from somebody's metadata."""
    try:
        return _without_surrogates(json.loads(text))
    except (ValueError, RecursionError):
        raise InvalidPayload("The body is not JSON.") from None


def _without_nul(value: Any) -> Any:
    return _map_text(value, lambda text: text.replace("\x00", ""))


def _without_surrogates(value: Any) -> Any:
    return _map_text(value, lambda text: text.encode("utf-8", "replace").decode())


def _map_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_text(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_text(item, change) for key, item in value.items()}
    return value


def _related_object(payload: dict[str, Any]) -> dict[str, Any]:
    """A thin event names its object, and where to read it: `related_object: {id, type, url}`."""
    related = payload.get("related_object")
    return {"id": related.get("id"), "object": related.get("type")} if isinstance(related, dict) else {}


def _created(payload: dict[str, Any]) -> int | None:
    """Unix seconds; thin events carry a date-time string."""
    value = payload.get("created")
    if isinstance(value, str):
        try:
            value = int(datetime.fromisoformat(value).timestamp())
        except (ValueError, OverflowError):
            return None
    return as_seconds(value)


def _problem(event: StripeEvent, *, has_id: bool, has_created: bool) -> str | None:
    missing = [
        name
        for name, there in (
            ("id", has_id),
            ("type", bool(event.type)),
            ("created", has_created),
            ("data.object", bool(event.object)),
        )
        if not there
    ]
    return f"The event has no usable {', '.join(missing)}." if missing else None
