"""Which snapshot of an object is the newest: a pure function of the set of its events.

Stripe promises no order, stamps whole seconds, and sends some events twice ("Event ordering" in its
webhook docs). So the order of arrival counts for nothing here. The rules, and why they are enough, are
in `docs/ordering.md`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    return Snapshots(events).judge()


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
        state = canonical(event.object)
        parts = _parts_by_event[event] = _Parts(position(event), state, _step_to(state, event))
    return parts


class Snapshots:
    """The snapshots of one object. One more costs the same however many share its second."""

    def __init__(self, events: Iterable[StripeEvent] = ()) -> None:
        self._bursts: dict[Position, _Burst] = {}
        for event in events:
            self.add(event)

    def add(self, event: StripeEvent) -> None:
        """Count an event's snapshot; one that is counted already changes nothing."""
        place = _read(event).position
        burst = self._bursts.get(place)
        if burst is None:
            burst = self._bursts[place] = _Burst()
        if event.id not in burst.events:
            burst.add(event)

    def discard(self, event: StripeEvent) -> None:
        """Take an event out again."""
        place = _read(event).position
        others = dict(self._bursts.pop(place, _Burst()).events)
        others.pop(event.id, None)
        for other in others.values():
            self.add(other)

    def judge(self) -> Judgement:
        """The newest of the snapshots; there is at least one."""
        return self._judge(max(self._bursts))

    def _judge(self, place: Position) -> Judgement:
        burst = self._bursts[place]
        newest, certain = burst.newest(lambda: self._before(place))
        return Judgement(newest, place, len(burst.events), certain)

    def _before(self, place: Position) -> Judgement | None:
        earlier = [each for each in self._bursts if each < place]
        return self._judge(max(earlier)) if earlier else None


Earlier = Callable[[], Judgement | None]
"""What was the newest before a burst: asked only where its steps close a circle."""


class _Burst:
    """The events that share a position, and what judging needs of them all."""

    def __init__(self) -> None:
        self.events: dict[str, StripeEvent] = {}
        self._states: set[State] = set()
        self._steps: set[Step] = set()
        self._counted, self._once = _Balance(), _Balance()
        self._reached: dict[State, StripeEvent] = {}
        """By each state in which a step ends, the event with the greatest id."""
        self._greatest: StripeEvent | None = None
        self._stepped: StripeEvent | None = None
        self._deletion: StripeEvent | None = None

    def add(self, event: StripeEvent) -> None:
        parts = _read(event)
        self.events[event.id] = event
        self._states.add(parts.state)
        self._greatest = _greater(event, self._greatest)
        if is_deletion(event):
            self._deletion = _greater(event, self._deletion)
        if (step := parts.step) is not None:
            self._stepped = _greater(event, self._stepped)
            self._reached[step.after] = _greater(event, self._reached.get(step.after))
            self._counted.add(step)
            if step not in self._steps:
                self._steps.add(step)
                self._once.add(step)

    def newest(self, earlier: Earlier) -> tuple[StripeEvent, bool]:
        """The newest of the events, and whether that is certain."""
        assert self._greatest is not None  # there is at least one event
        if len(self._states) == 1:
            return self._greatest, True
        if self._deletion is not None:
            return self._deletion, True
        if self._stepped is None:
            return self._greatest, False
        state, certain = self._end(earlier)
        reached = self._reached.get(state) if state is not None else None
        return reached or self._stepped, certain and reached is not None

    def _end(self, earlier: Earlier) -> tuple[State | None, bool]:
        """The state in which the steps end, None if they do not show it; and whether that is certain."""
        counted, once = self._counted.end(earlier), self._once.end(earlier)
        if counted is not None:
            # Stripe now and then sends one change as two events. Where that would matter, it is not certain.
            return counted, counted == once
        return once, False


class _Balance:
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
            before = earlier()
            start = _read(before.newest).state if before else None
            return start if start in self._visited else None
        if len(self._open) != 2:
            return None
        ends = [state for state, count in self._open.items() if count == 1]
        return ends[0] if len(ends) == 1 else None


def _greater(event: StripeEvent, other: StripeEvent | None) -> StripeEvent:
    """The event that has the greater id of the two."""
    return event if other is None or event.id > other.id else other


def _step_to(after: State, event: StripeEvent) -> Step | None:
    """The step that the event describes; None without `previous_attributes`, or where nothing changed."""
    if not event.previous_attributes:
        return None
    before = canonical(put_back(event.object, event.previous_attributes))
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


def canonical(content: dict[str, Any]) -> State:
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
