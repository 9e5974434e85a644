"""Bytes to `StripeEvent`: one envelope for every shape that Stripe has sent since 2020.

Shapes are recognised by their fields, never by version: the endpoint's version decides what Stripe
sends, and an account may have endpoints of several. What is inside an object reads `stripe_objects`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from ..errors import InvalidPayload
from .names import named_records
from .objects import as_bool, as_dict, as_id, as_seconds, as_text

MAX_TYPE_LENGTH = 255


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class StripeEvent:
    """One event, as Stripe said it. `created` in Unix seconds."""

    id: str
    type: str
    created: int
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None
    livemode: bool | None = None
    account: str | None = None
    context: str | None = None
    """The account that the event is of, below those that lead to it: `acct_platform/acct_connected`."""
    api_version: str | None = None
    thin: bool = False
    is_event: bool = True
    """Whether it says so itself (`object`), or has at least the members of one."""
    snapshot_event: str | None = None
    """Of a thin event: the id of the snapshot event about the same change, where Stripe names it."""
    read_for: tuple[int, str] | None = None
    """Of what was read for a thin event: the `created` (Unix seconds) and the id of that event."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of a thin event, and of what was read for it: what changed (`before`, `after`), if Stripe says so."""
    body: str = ""
    problem: str | None = None
    """Why the envelope cannot be handled, when it cannot."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """The ids that the event's object names, by the kind of record."""

    @property
    def object_id(self) -> str | None:
        """The id of the event's object; None where it has no usable one."""
        return as_id(self.object.get("id"))

    @property
    def happened_at(self) -> int:
        """When it happened (Unix seconds): what was read for a thin event was read later."""
        return self.read_for[0] if self.read_for is not None else self.created

    @property
    def owners(self) -> set[str]:
        """The accounts that the event names as its own: none, one, or two that contradict each other."""
        last = self.context.rpartition("/")[2] if self.context is not None else None
        return {owner for owner in (self.account, last) if owner}

    @property
    def told_as(self) -> tuple[str, ...]:
        """The ids of the events about the same change: this one and, where Stripe names it, its twin."""
        ids = (self.id, self.read_for[1] if self.read_for else None, self.snapshot_event)
        return tuple(id for id in ids if id)


def parse(body: bytes) -> StripeEvent:
    """Read the envelope of an event.

    Raises:
        InvalidPayload: when the body is not UTF-8 or not a JSON object. Everything else makes an event.
    """
    payload, text = _decode(body)
    data = payload.get("data")
    thin = payload.get("object") == "v2.core.event"
    content = _related_object(payload) if thin else as_dict(as_dict(data).get("object"))
    previous = as_dict(data.get("previous_attributes")) if isinstance(data, dict) else {}
    event_id, created = as_id(payload.get("id")), _created(payload)
    event_type = payload.get("type")
    if not isinstance(event_type, str) or len(event_type) > MAX_TYPE_LENGTH:
        event_type = ""
    return StripeEvent(
        # An id that cannot be one is replaced by the body's own: kept once, like any other event.
        id=event_id or f"unidentified_{hashlib.sha256(body).hexdigest()}",
        type=event_type,
        created=created or 0,
        object=content,
        previous_attributes=previous or None,
        livemode=as_bool(payload.get("livemode")),
        account=as_id(payload.get("account")),
        context=as_id(payload.get("context")),
        api_version=as_text(payload.get("api_version")),
        thin=thin,
        is_event=thin or payload.get("object") == "event" or _looks_like_an_event(payload),
        snapshot_event=as_id(payload.get("snapshot_event")),
        read_for=_read_for(payload),
        changes=as_dict(payload.get("changes")),
        body=text,
        # A thin event need not name an object: what it says is fetched with the event itself.
        problem=_problem(event_id, event_type, created, content if not thin else {"object": "any"}),
        names=named_records(content, previous),
    )


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
    if not isinstance(related, dict):
        return {}
    return {"id": related.get("id"), "object": related.get("type"), "url": related.get("url")}


ENVELOPES = frozenset({"detail-type", "specversion", "eventType"})
"""Members of the envelopes of Amazon EventBridge, of CloudEvents, and of Azure Event Grid's own schema."""


def _looks_like_an_event(payload: dict[str, Any]) -> bool:
    """Whether a body that does not say so is taken for an event: old tools leave `object` out."""
    if not ENVELOPES.isdisjoint(payload):
        return False
    return "type" in payload or ("id" in payload and "object" not in payload)


def _read_for(payload: dict[str, Any]) -> tuple[int, str] | None:
    """The thin event that the object was read for: this service's own word in what it read."""
    cause = payload.get("read_for")
    if not isinstance(cause, dict):
        return None
    created, event_id = as_seconds(cause.get("created")), as_id(cause.get("id"))
    return (created, event_id) if created is not None and event_id is not None else None


def _created(payload: dict[str, Any]) -> int | None:
    """Unix seconds; thin events carry a date-time string."""
    value = payload.get("created")
    if isinstance(value, str):
        try:
            value = int(datetime.fromisoformat(value).timestamp())
        except (ValueError, OverflowError):
            return None
    return as_seconds(value)


def _problem(
    event_id: str | None, event_type: str, created: int | None, content: dict[str, Any]
) -> str | None:
    found = {
        "id": event_id is not None,
        "type": bool(event_type),
        "created": created is not None,
        "data.object": bool(content),
    }
    missing = [name for name, there in found.items() if not there]
    return f"The event has no usable {', '.join(missing)}." if missing else None
