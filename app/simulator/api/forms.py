"""Stripe's form-encoded parameters: `items[0][price]=…`, `expand[]=…`, `metadata[key]=…`."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from .errors import invalid, missing

Params = dict[str, Any]
"""Text, or parameters by key; a list has its numbers for keys until `listed` reads it.

That is because a form does not distinguish a list from a hash whose keys are numbers, as metadata's may be.
"""

NAME = re.compile(r"[^\[\]]+(\[[^\[\]]*\])*")
DEEPEST = 6


def parse_form(encoded: bytes) -> Params:
    """The parameters of a query or a form.

    Raises:
        ApiError: 400 where it is not UTF-8, and as `parse`.
    """
    try:
        return parse(parse_qsl(encoded.decode(), keep_blank_values=True))
    except UnicodeDecodeError:
        raise invalid("The form is not UTF-8.") from None


def parse_json(encoded: bytes) -> Params:
    """The parameters of a POST of API v2; an empty body has none.

    Raises:
        ApiError: 400 where it is no JSON object.
    """
    try:
        content = orjson.loads(encoded) if encoded else {}
    except orjson.JSONDecodeError:
        raise invalid("The request body could not be parsed as JSON.", code="invalid_json") from None
    if not isinstance(content, dict):
        raise invalid("The request body must be a JSON object.", code="invalid_json")
    return content


def parse(pairs: Iterable[tuple[str, str]]) -> Params:
    """The parameters as nested dicts.

    Raises:
        ApiError: 400 for a name that is no Stripe parameter's, or one that is both text and hash.
    """
    params: Params = {}
    for name, value in pairs:
        keys = [part.rstrip("]") for part in name.split("[")]
        if not NAME.fullmatch(name) or len(keys) > DEEPEST:
            raise invalid(f"Invalid parameter name: {name}", name)
        _put(params, keys, value, name)
    return params


def _put(params: Params, keys: list[str], value: str, name: str) -> None:
    *outer, last = keys
    for key in outer:
        params = params.setdefault(key or str(len(params)), {})
        if not isinstance(params, dict):
            raise invalid(f"Invalid hash: {name}", name)
    params[last or str(len(params))] = value


def known(params: Mapping[str, Any], names: Collection[str], prefix: str = "") -> None:
    """Refuse what Stripe would not know, so that a misspelt parameter is found here.

    Raises:
        ApiError: 400 `parameter_unknown`.
    """
    for name in params:
        if name not in names:
            full = f"{prefix}[{name}]" if prefix else name
            raise invalid(f"Received unknown parameter: {full}", full, "parameter_unknown")


def text(params: Mapping[str, Any], name: str) -> str | None:
    """None where it is absent or empty: an empty text unsets.

    Raises:
        ApiError: 400 for a hash.
    """
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"Invalid string: {name}", name)
    return value or None


def required(params: Mapping[str, Any], name: str) -> str:
    """
    Raises:
        ApiError: 400 `parameter_missing`.
    """
    value = text(params, name)
    if value is None:
        raise missing(name)
    return value


def integer(params: Mapping[str, Any], name: str, *, prefix: str = "") -> int | None:
    """
    Raises:
        ApiError: 400 `parameter_invalid_integer`.
    """
    value = text(params, name)
    if value is None:
        return None
    if not re.fullmatch(r"-?\d{1,18}", value):
        full = f"{prefix}[{name}]" if prefix else name
        raise invalid(f"Invalid integer: {value}", full, "parameter_invalid_integer")
    return int(value)


def boolean(params: Mapping[str, Any], name: str) -> bool | None:
    """
    Raises:
        ApiError: 400 for anything but true and false.
    """
    value = text(params, name)
    if value is None:
        return None
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", name)
    return value == "true"


def hashed(params: Mapping[str, Any], name: str) -> Params:
    """A hash; empty where it is absent.

    Raises:
        ApiError: 400 for text.
    """
    value = params.get(name) or {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", name)
    return value


def listed(params: Mapping[str, Any], name: str) -> list[Any]:
    """A list, in the order of its numbers; empty where it is absent.

    Raises:
        ApiError: 400 for text, or a hash with other keys.
    """
    value = hashed(params, name)
    if not all(key.isascii() and key.isdecimal() for key in value):
        raise invalid("Invalid array", name)
    return [value[key] for key in sorted(value, key=int)]


def texts(params: Mapping[str, Any], name: str) -> list[str]:
    """
    Raises:
        ApiError: 400 where an entry is no text.
    """
    values = listed(params, name)
    if not all(isinstance(value, str) for value in values):
        raise invalid("Invalid array", name)
    return values


def merged_metadata(params: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
    """The metadata after an update: keys are merged, an empty value unsets its key, an empty text all.

    Raises:
        ApiError: 400 for a value that is no text.
    """
    if params.get("metadata") == "":
        return {}
    changes = hashed(params, "metadata")
    if not all(isinstance(value, str) for value in changes.values()):
        raise invalid("Metadata values must be strings", "metadata")
    return {key: value for key, value in ({**before, **changes}).items() if value}
