"""The states of an object, and the steps between them that events tell of (`previous_attributes`)."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

State = bytes
"""The hash of an object's whole content in one canonical form: equal bytes, equal state."""


class Step(NamedTuple):
    """What an event with `previous_attributes` says: the object went from one state to another."""

    before: State
    after: State


Earlier = Callable[[], State | None]
"""What was the newest state before a burst: asked only where its steps close a circle."""


class Balance:
    """How often each state is reached, less how often it is left."""

    def __init__(self) -> None:
        self._visited: set[State] = set()
        self._open: dict[State, int] = {}
        """The states that are not reached as often as they are left."""

    def add(self, step: Step) -> None:
        for state, by in ((step.after, 1), (step.before, -1)):
            self._visited.add(state)
            if count := self._open.pop(state, 0) + by:
                self._open[state] = count

    def end(self, earlier: Earlier) -> State | None:
        """The state that is reached once more often than left; in a circle, the one before the steps."""
        if not self._open:
            start = earlier()
            return start if start in self._visited else None
        if len(self._open) != 2:
            return None
        ends = [state for state, count in self._open.items() if count == 1]
        return ends[0] if len(ends) == 1 else None


def put_back(content: dict[str, Any], previous: dict[str, Any]) -> dict[str, Any]:
    """The object as it was: nested hashes hold only what changed, arrays are whole, absent keys are null."""
    merged = dict(content)
    for key, value in previous.items():
        current = content.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            merged[key] = put_back(current, value)
        else:
            merged[key] = value
    return merged


def state_of(content: dict[str, Any]) -> State:
    """The state in which an object with this content is."""
    return sha256(canonical(content)).digest()


def canonical(content: dict[str, Any]) -> bytes:
    """The content as bytes; null and absent are the same, as they are to Stripe."""
    return orjson.dumps(_without_nulls(content), option=orjson.OPT_SORT_KEYS)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(entry) if isinstance(entry, _NESTED) else entry
            for key, entry in value.items()
            if entry is not None
        }
    return [_without_nulls(entry) if isinstance(entry, _NESTED) else entry for entry in value]


_NESTED = (dict, list)
