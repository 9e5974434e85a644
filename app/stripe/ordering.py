"""Which snapshot of an object is the newest: a pure function of the set of its events.

Stripe promises no order, stamps whole seconds, and sends some events twice ("Event ordering" in its
webhook docs). So the order of arrival counts for nothing here. The rules, and why they are enough, are
in `docs/ordering.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from .events import StripeEvent, parse
from .mixed_versions import MAX_STEPS, newest_of
from .objects import ENDED, as_text
from .steps import Balance, Earlier, State, Step, put_back, state_of

READING = "reread_"
"""What the ids of those snapshots begin with that were read from Stripe's API."""


class Position(NamedTuple):
    """Where a snapshot stands: a greater one is newer, equal ones are left to the steps between them.

    `rank` joins two rules: no snapshot undoes a terminal status, nor follows another status as
    `incomplete`; and within that, `…created` is older than every other snapshot and `…deleted` newer.
    """

    rank: int
    created: int


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What judging needs of an event: little, however large the event is."""

    id: str
    position: Position
    state: State
    step: Step | None
    is_deletion: bool
    api_version: str | None = None


_snapshots: WeakKeyDictionary[StripeEvent, Snapshot] = WeakKeyDictionary()


def snapshot_of(event: StripeEvent) -> Snapshot:
    """What judging needs of the event. Each of a burst is judged beside all others, and read only once."""
    found = _snapshots.get(event)
    if found is None:
        state = state_of(event.object)
        step = _step_to(state, event)
        found = Snapshot(event.id, position(event), state, step, is_deletion(event), event.api_version)
        _snapshots[event] = found
    return found


class Snapshots:
    """The snapshots of one object. One more costs the same however many share its second."""

    def __init__(self, events: Iterable[StripeEvent] = ()) -> None:
        self._bursts: dict[Position, _Burst] = {}
        for event in events:
            self.add(event)

    def add(self, event: StripeEvent) -> None:
        """Count an event's snapshot; one that is counted already changes nothing."""
        self._count(snapshot_of(event), event)

    def add_stored(self, snapshot: Snapshot, body: str) -> None:
        """As `add`, by what is known of the event with this body."""
        self._count(snapshot, body)

    def discard(self, event: StripeEvent) -> None:
        """Take an event out again."""
        burst = self._bursts.pop(snapshot_of(event).position, None)
        for id, (other, source) in burst.counted.items() if burst is not None else ():
            if id != event.id:
                self._count(other, source)

    def judge(self) -> Judgement:
        """The newest of the snapshots; there is at least one."""
        place = max(self._bursts)
        newest, certain = self._newest_at(place)
        burst = self._bursts[place]
        return Judgement(burst.event(newest.id), place, len(burst.counted), certain)

    def _count(self, snapshot: Snapshot, source: StripeEvent | str) -> None:
        burst = self._bursts.get(snapshot.position)
        if burst is None:
            burst = self._bursts[snapshot.position] = _Burst()
        if snapshot.id not in burst.counted:
            burst.add(snapshot, source)

    def _newest_at(self, place: Position) -> tuple[Snapshot, bool]:
        burst = self._bursts[place]
        newest, certain = burst.newest(lambda: self._state_before(place))
        if certain or not (versions := burst.versions()):
            return newest, certain
        earlier = self._newest_before(place)
        if len(versions | ({earlier.api_version} if earlier is not None else set())) == 1:
            return newest, certain
        found = newest_of([burst.event(id) for id in burst.counted], lambda: self._event(earlier))
        return (burst.counted[found.id][0], True) if found is not None else (newest, False)

    def _state_before(self, place: Position) -> State | None:
        earlier = self._newest_before(place)
        return earlier.state if earlier is not None else None

    def _newest_before(self, place: Position) -> Snapshot | None:
        earlier = [each for each in self._bursts if each < place]
        return self._newest_at(max(earlier))[0] if earlier else None

    def _event(self, snapshot: Snapshot | None) -> StripeEvent | None:
        return self._bursts[snapshot.position].event(snapshot.id) if snapshot is not None else None


class _Burst:
    """The snapshots that share a position, and what judging needs of them all."""

    def __init__(self) -> None:
        self.counted: dict[str, tuple[Snapshot, StripeEvent | str]] = {}
        """By its id, each event: what judging needs of it, and itself or its body, which is parsed for the
        newest alone."""
        self._states: set[State] = set()
        self._steps: set[Step] = set()
        self._counted, self._once = Balance(), Balance()
        self._reached: dict[State, Snapshot] = {}
        """By each state in which a step ends, the snapshot of the event with the greatest id."""
        self._greatest: Snapshot | None = None
        self._stepped: Snapshot | None = None
        self._deletion: Snapshot | None = None

    def event(self, id: str) -> StripeEvent:
        """One of the events."""
        snapshot, source = self.counted[id]
        if isinstance(source, str):
            source = parse(source.encode())
            self.counted[id] = snapshot, source
        return source

    def versions(self) -> set[str | None]:
        """The API versions in which its steps came; none where those are too many to compare."""
        steps = [snapshot for snapshot, _ in self.counted.values() if snapshot.step is not None]
        return {step.api_version for step in steps} if len(steps) <= MAX_STEPS else set()

    def add(self, snapshot: Snapshot, source: StripeEvent | str) -> None:
        self.counted[snapshot.id] = snapshot, source
        self._states.add(snapshot.state)
        self._greatest = _greater(snapshot, self._greatest)
        if snapshot.is_deletion:
            self._deletion = _greater(snapshot, self._deletion)
        if (step := snapshot.step) is not None:
            self._stepped = _greater(snapshot, self._stepped)
            self._reached[step.after] = _greater(snapshot, self._reached.get(step.after))
            self._counted.add(step)
            if step not in self._steps:
                self._steps.add(step)
                self._once.add(step)

    def newest(self, earlier: Earlier) -> tuple[Snapshot, bool]:
        """The newest of the snapshots, and whether that is certain."""
        assert self._greatest is not None  # there is at least one
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


def _greater(snapshot: Snapshot, other: Snapshot | None) -> Snapshot:
    """The snapshot of the event with the greater id."""
    return snapshot if other is None or snapshot.id > other.id else other


def _step_to(after: State, event: StripeEvent) -> Step | None:
    """The step that the event describes; None without `previous_attributes`, or where nothing changed."""
    if not event.previous_attributes:
        return None
    before = state_of(put_back(event.object, event.previous_attributes))
    return Step(before, after) if before != after else None
