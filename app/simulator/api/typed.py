"""Parameters with the types that the official library declares for them."""

from collections.abc import Collection, Mapping
from typing import Any

from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid
from .official import Declaration, declaration_of

UNTYPED = Declaration(forms, {})


def typed(call: Call, played: Collection[str]) -> Json:
    """The request's parameters but `expand`: numbers, lists and hashes; an empty text is None.

    Raises:
        ApiError: 400 for parameters other than those `played`, and for values of another type.
    """
    forms.known(call.params, (*played, "expand"))
    declaration = declaration_of(call.method, call.route) or UNTYPED
    given = {name: value for name, value in call.params.items() if name != "expand"}
    return {name: _value(declaration, name, value, name) for name, value in given.items()}


def typed_members(call: Call, names: Collection[str]) -> Json:
    """Of the request's parameters those with these names, as `typed`; the others are somebody else's.

    Raises:
        ApiError: 400 for values of another type.
    """
    declaration = declaration_of(call.method, call.route) or UNTYPED
    given = {name: value for name, value in call.params.items() if name in names}
    return {name: _value(declaration, name, value, name) for name, value in given.items()}


def _value(declaration: Declaration, name: str, value: Any, at: str) -> Any:
    if isinstance(value, str):
        return _scalar(declaration.kind(name), value, at)
    inner = declaration.inner(name)
    if inner is not None and "Dict[str" not in declaration.fields[name]:
        return _hashes(inner, value, at)
    if _is_list(value) and "List[" in declaration.fields.get(name, "List["):
        return forms.listed({name: value}, name)
    return dict(value)


def _hashes(inner: Declaration, value: Mapping[str, Any], at: str) -> Any:
    if _is_list(value):
        return [_value_of_entry(inner, value[key], f"{at}[{key}]") for key in sorted(value, key=int)]
    return _value_of_entry(inner, value, at)


def _value_of_entry(inner: Declaration, entry: Any, at: str) -> Any:
    if not isinstance(entry, dict):
        raise invalid("Invalid object", at)
    forms.known(entry, inner.fields, at)
    return {name: _value(inner, name, value, f"{at}[{name}]") for name, value in entry.items()}


def _is_list(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(key.isascii() and key.isdecimal() for key in value)


def _scalar(kind: str, value: str, at: str) -> Any:
    if value == "":
        return None
    params = {at: value}
    match kind:
        case "int":
            return _integer_or_word(params, at, value)
        case "bool":
            return forms.boolean(params, at)
        case "float":
            return _decimal(value, at)
        case _:
            return value


def _integer_or_word(params: forms.Params, at: str, value: str) -> int | str | None:
    """Some times are numbers or a word, such as `now`."""
    return value if value in ("now", "inf") else forms.integer(params, at)


def _decimal(value: str, at: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise invalid(f"Invalid decimal: {value}", at) from None
