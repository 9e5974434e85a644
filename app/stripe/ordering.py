"""Which snapshot of an object is the newest: a pure function of the set of its events.

Stripe promises no order, stamps whole seconds, and sends some events twice ("Event ordering" in its
webhook docs). So the order of arrival counts for nothing here. The rules, and why they are enough, are
in `docs/ordering.md`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import orjson

from .events import StripeEvent
from .objects import ENDED, as_text

READING = "reread_"
"""What the ids of those snapshots begin with that were read from Stripe's API."""

State = bytes
"""An object's whole content in one canonical form: equal bytes, equal state."""


class Position(NamedTuple):
    """Where a snapshot stands: a greater one is newer, equal ones are left to the steps between them.

    `rank` joins two rules: no snapshot undoes a terminal status, nor follows another status as
    `incomplete`; and within that, `…created` is older than every other snapshot and `…deleted` newer.
    """

    rank: int
    created: int


class Step(NamedTuple):
    """What an event with `previous_attributes` says: the object went from one state to another."""

    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Judgement:
    """The event whose snapshot is the newest, and whether the events alone determine it."""

    newest: StripeEvent
    position: Position
    burst: int
    """How many events share the position."""
    certain: bool = True


def position(event: StripeEvent) -> Position:
    """The place of the event's snapshot among all the others of its object."""
    if is_deletion(event):
        return Position(LIVING, event.created + DELETION_SECONDS)
    status = as_text(event.object.get("status")) if event.object.get("object") == "subscription" else None
    stage = 2 if status in ENDED else 0 if status == "incomplete" else 1
    end = 2 if event.type.endswith(".deleted") else 0 if event.type.endswith(".created") else 1
    return Position(3 * stage + end, event.created)


LIVING = 4
"""The rank of a customer's snapshots but for `customer.created`."""
DELETION_SECONDS = 60
"""A deleted customer lives again only by a snapshot that is more than so much newer ("Copy account data": in
another account it may), or by being read from Stripe's API."""


def is_deletion(event: StripeEvent) -> bool:
    """Whether the event says that a customer was deleted."""
    if event.object.get("object") != "customer":
        return False
    return event.type == "customer.deleted" or event.object.get("deleted") is True


def customer_position(rank: int, created: int) -> Position:
    """Where a stored customer's snapshot stands; an older release ranked deletions above all others."""
    return Position(LIVING, created + DELETION_SECONDS) if rank > LIVING else Position(rank, created)


def is_terminal(rank: int | None) -> bool:
    """Whether a snapshot of that rank ended its subscription for good."""
    return rank is not None and rank >= 6


def overlay_applies(overlay: Mapping[str, Any] | None, place: Position | None) -> bool:
    """Whether an internal update overrides the snapshot at `place` (None: there is none).

    A snapshot with a greater `created` has ended it; so has a terminal status from Stripe.
    """
    if overlay is None or place is None:
        return overlay is not None
    return not is_terminal(place.rank) and place.created <= overlay["created"]


def judge(events: Iterable[StripeEvent]) -> Judgement:
    """The newest of an object's snapshots. The order of `events` does not matter; there is at least one."""
    ordered = sorted(events, key=lambda event: (_read(event).position, event.id), reverse=True)
    bursts = groupby(ordered, key=lambda event: _read(event).position)
    return _judge([list(burst) for _, burst in bursts])


def contested(current: Position | None, burst: int, arrivals: Sequence[Position]) -> bool:
    """Whether positions alone leave open which snapshot is the newest, so that the earlier ones are needed.

    `current` and `burst` are those of the snapshot that the record holds, `arrivals` those to be judged.
    """
    if len(set(arrivals)) < len(arrivals) or current in arrivals:
        return True
    return burst > 1 and any(current is not None and place < current for place in arrivals)


class _Parts(NamedTuple):
    position: Position
    state: State
    step: Step | None


_parts_by_event: WeakKeyDictionary[StripeEvent, _Parts] = WeakKeyDictionary()


def _read(event: StripeEvent) -> _Parts:
    """What judging needs of an event. Each one of a burst is judged beside all others, but read only once."""
    parts = _parts_by_event.get(event)
    if parts is None:
        parts = _parts_by_event[event] = _Parts(position(event), canonical(event.object), step_of(event))
    return parts


def _judge(bursts: list[list[StripeEvent]]) -> Judgement:
    burst = bursts[0]
    newest, certain = _newest_of(burst, lambda: _judge(bursts[1:]) if len(bursts) > 1 else None)
    return Judgement(newest, position(newest), len(burst), certain)


Earlier = Callable[[], Judgement | None]
"""What was the newest before a burst: asked only where its steps close a circle."""


def _newest_of(burst: list[StripeEvent], earlier: Earlier) -> tuple[StripeEvent, bool]:
    """The newest of the events that share a position (the greatest id first), and whether that is certain."""
    if len({_read(event).state for event in burst}) == 1:
        return burst[0], True
    if deletions := [event for event in burst if is_deletion(event)]:
        return deletions[0], True
    steps = {event.id: step for event in burst if (step := _read(event).step)}
    if not steps:
        return burst[0], False
    state, certain = _end_of(list(steps.values()), earlier)
    stepped = [event for event in burst if event.id in steps]
    reached = [event for event in stepped if steps[event.id].after == state]
    return (reached or stepped)[0], certain and bool(reached)


def _end_of(steps: list[Step], earlier: Earlier) -> tuple[State | None, bool]:
    """The state in which the steps end, None if they do not show it; and whether that is certain."""
    counted, once = _end(steps, earlier), _end(set(steps), earlier)
    if counted is not None:
        # Stripe now and then sends one change as two events. Where that would matter, it is not certain.
        return counted, counted == once
    return once, False


def _end(steps: Iterable[Step], earlier: Earlier) -> State | None:
    """The state that is reached once more often than it is left; in a circle, the one before the steps."""
    balance: Counter[State] = Counter()
    for step in steps:
        balance[step.after] += 1
        balance[step.before] -= 1
    open_ends = {state: count for state, count in balance.items() if count}
    if not open_ends:
        before = earlier()
        start = _read(before.newest).state if before else None
        return start if start in balance else None
    ends = [state for state, count in open_ends.items() if count == 1]
    return ends[0] if len(ends) == 1 and len(open_ends) == 2 else None


def step_of(event: StripeEvent) -> Step | None:
    """The step that the event describes; None without `previous_attributes`, or where nothing changed."""
    if not event.previous_attributes:
        return None
    before = canonical(put_back(event.object, event.previous_attributes))
    after = canonical(event.object)
    return Step(before, after) if before != after else None


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


def canonical(content: Any) -> State:
    """The content as bytes; null and absent are the same, as they are to Stripe."""
    return orjson.dumps(_without_nulls(content), option=orjson.OPT_SORT_KEYS)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
