"""The clock of an account, its ids, and the events of what happens in it."""

import random
import string
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from .model import Customer, Entity, Event, EventDestination, Subscription, frozen
from .thin import ThinEvent, thin_events, thin_id

ALPHABET = string.ascii_letters + string.digits


class EventLog:
    """The clock, and `events`: all that Stripe would send, in true order."""

    def __init__(self, seed: int, start: int, livemode: bool) -> None:
        self.now = start
        self.livemode = livemode
        self.events: list[Event] = []
        self.pings: list[ThinEvent] = []
        self.undelivered: set[str] = set()
        self._random = random.Random(seed)
        self.id = f"acct_1{random.Random(f'account {seed}').getrandbits(64):020d}"[:21]
        """The account's own id, which `context` and `account` of an event name."""

    def new_id(self, prefix: str) -> str:
        """An id as Stripe makes them: its order says nothing about time."""
        return f"{prefix}_1{''.join(self._random.choices(ALPHABET, k=23))}"

    def ids_state(self) -> tuple[Any, ...]:
        """The state from which ids are made; `restore_ids` goes back to it, after a preview for one."""
        return self._random.getstate()

    def restore_ids(self, state: tuple[Any, ...]) -> None:
        self._random.setstate(state)

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    def send_twice(self, event: Event | None = None) -> Event:
        """Send a change (the latest, where none is named) once more, as an event object of its own."""
        original = self.events[-1] if event is None else event
        copy = original.again(self.new_id("evt"))
        self.events.insert(self.events.index(original) + 1, copy)
        return copy

    def mark_undelivered(self, ids: Iterable[str]) -> None:
        """Events, by id, whose webhooks have failed: Stripe lists them with `delivery_success=false`."""
        self.undelivered.update(ids)

    def mark_delivered(self, ids: Iterable[str]) -> None:
        self.undelivered.difference_update(ids)

    def thin_events(self) -> list[ThinEvent]:
        """All thin events in the order in which they happened: of every change, and of every ping."""
        made = [thin for event in self.events for thin in thin_events(event, livemode=self.livemode)]
        return sorted([*made, *self.pings], key=lambda event: event.created) if self.pings else made

    def ping(self, destination: EventDestination) -> ThinEvent:
        """What Stripe sends to a destination that is tried out."""
        name = "v2.core.event_destination.ping"
        id = thin_id(self.new_id("ping"), name, livemode=self.livemode)
        self.pings.append(ThinEvent(id, name, self.now, destination))
        return self.pings[-1]

    def editing(self, entity: Customer | Subscription) -> AbstractContextManager[None]:
        """Send the object's `….updated` for what the block changes; nothing if it changes nothing."""
        kind = "customer" if isinstance(entity, Customer) else "customer.subscription"
        return self._update(f"{kind}.updated", entity)

    def announce(self, event_type: str, entity: Entity) -> None:
        """Send an event of this type about the object as it is now."""
        self._emit(event_type, entity)

    @contextmanager
    def _update(self, event_type: str, entity: Entity) -> Iterator[None]:
        """Emit an event with what the block changed; none if it changed nothing, as Stripe does."""
        before = frozen(entity)
        yield
        if entity != before:
            self._emit(event_type, entity, before)

    def _emit(self, event_type: str, entity: Entity, before: Entity | None = None) -> None:
        self.events.append(Event(self.new_id("evt"), event_type, self.now, frozen(entity), before))
