"""API v2: parameters as JSON, lists with the address of the next page, and the thin events."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from ..shapes import Json
from ..thin import ThinEvent, fetched
from . import forms
from .call import Call
from .errors import ApiError, invalid
from .listing import BOUNDS, limit_of

T = TypeVar("T")
MOST_TYPES = 20


def text(params: Mapping[str, Any], name: str) -> str | None:
    """
    Raises:
        ApiError: 400 for anything but text and null.
    """
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"Invalid string: {value}", name)
    return value


def texts(params: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts: JSON's own, or that of a query (`include[0]=…`, `include=…`); empty if absent.

    Raises:
        ApiError: 400 for anything else.
    """
    value = params.get(name)
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return forms.texts(params, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid(f"Invalid array: {name}", name)
    return value


def page(call: Call, entries: Sequence[T], render: Callable[[T], Json]) -> Json:
    """The page that the request asks for. Its `next_page_url` keeps the request's parameters."""
    first, limit = _first(call, len(entries)), limit_of(call)
    shown = [] if call.other_mode else entries[first : first + limit]
    more = not call.other_mode and first + limit < len(entries)
    return {
        "data": [render(entry) for entry in shown],
        "next_page_url": _address(call, first + limit) if more else None,
        "previous_page_url": _address(call, max(0, first - limit)) if first else None,
    }


def _first(call: Call, count: int) -> int:
    token = text(call.params, "page") or "page_0"
    number = token.removeprefix("page_")
    if not (token.startswith("page_") and number.isascii() and number.isdecimal() and int(number) <= count):
        raise invalid(f"Invalid page: {token}", "page")
    return int(number)


def _address(call: Call, first: int) -> str:
    params = {name: value for name, value in call.params.items() if name != "page"}
    return f"{call.path}?{urlencode([*_pairs(params, ''), ('page', f'page_{first}')])}"


def _pairs(params: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        full = f"{prefix}[{name}]" if prefix else name
        pairs += _pairs(value, full) if isinstance(value, dict) else [(full, value)]
    return pairs


def list_events(call: Call) -> Json:
    """Those of the last 30 days, newest first."""
    forms.known(call.params, ("created", "limit", "object_id", "page", "types"))
    object_id, types = text(call.params, "object_id"), texts(call.params, "types")
    if len(types) > MOST_TYPES:
        raise invalid(f"You may pass up to {MOST_TYPES} event types.", "types")
    within = _created(call)
    found = [
        event
        for event in reversed(call.account.thin_events())
        if within(event.created)
        and event.created >= call.oldest_event
        and (not types or event.type in types)
        and (object_id is None or event.after.id == object_id)
    ]
    return page(call, found, lambda event: fetched(event, livemode=call.account.livemode))


def get_event(call: Call) -> Json:
    forms.known(call.params, ())
    return fetched(_event(call), livemode=call.account.livemode)


def _event(call: Call) -> ThinEvent:
    for event in reversed(call.account.thin_events()):
        if event.id == call.id and event.created >= call.oldest_event and not call.other_mode:
            return event
    raise ApiError(404, f"No such event: '{call.id}'", code="not_found")


def _created(call: Call) -> Callable[[int], bool]:
    bounds = forms.hashed(call.params, "created")
    forms.known(bounds, BOUNDS, "created")
    times = {name: _seconds(bounds, name) for name in bounds}

    def within(created: int) -> bool:
        compared = {
            "gt": created.__gt__,
            "gte": created.__ge__,
            "lt": created.__lt__,
            "lte": created.__le__,
        }
        return all(compared[name](time) for name, time in times.items())

    return within


def _seconds(bounds: forms.Params, name: str) -> int:
    value = text(bounds, name) or ""
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError:
        raise invalid(f"Invalid timestamp: {value}", f"created[{name}]") from None
