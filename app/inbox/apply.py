"""One event and the rows that it names, in memory: its receivers are called, and it ends in an outcome."""

import random
from collections.abc import Callable

import structlog

from ..backoff import next_attempt_at
from ..db.models import EventState
from ..errors import ServiceError, Stale
from ..signals import event_dead, event_signal, has_receivers
from ..stripe.events import StripeEvent
from .outcome import Outcome, storable
from .unit_of_work import KINDS, UnitOfWork

log = structlog.get_logger(__name__)

NOT_APPLIED = "The change could not be applied, and nothing was changed. The log names the error."
"""Said to who called the internal API: they wait for the answer, so nothing is kept to be retried."""
NO_RECEIVER = "Nothing in this process handles events of its type, though something did when it failed."
LEFT_SECONDS = 120
"""How long such an event is left alone, so that a process that has the receiver comes upon it."""


class Applier:
    """Applies events. `livemode` None takes both modes; `clock` gives Unix seconds."""

    def __init__(self, *, livemode: bool | None, clock: Callable[[], float]) -> None:
        self._livemode = livemode
        self._clock = clock
        self._random = random.Random()

    def apply(self, event: StripeEvent, unit_of_work: UnitOfWork) -> Outcome:
        """What becomes of an event. Its changes are in the unit of work, or, where it failed, nowhere."""
        if not self.is_handled(event):
            if event.retry and event.has_failed and not event.thin and self._is_ours(event):
                return self._left(event)
            return Outcome(event, self._state_unhandled(event))
        if event.problem:
            return self.failed(event, event.problem, unit_of_work)
        if _is_stale(event, unit_of_work):
            return Outcome(event, EventState.FAILED, rejected=Stale("The record has changed meanwhile."))
        try:
            with unit_of_work.undone_on_error():
                event_signal(event.type).send(event, unit_of_work=unit_of_work)
        except ServiceError as error:
            if event.source == "internal":
                return Outcome(event, EventState.FAILED, rejected=error)
            return self.failed(event, error.detail, unit_of_work)
        except Exception as error:
            log.error("handler_failed", event_id=event.id, event_type=event.type, error=type(error).__name__)
            if event.source == "internal":
                return Outcome(event, EventState.FAILED, rejected=ServiceError(NOT_APPLIED))
            return self.failed(event, f"{type(error).__name__}: {error}", unit_of_work)
        if event.source != "internal" and event.object_id in unit_of_work.history:
            unit_of_work.history[event.object_id].append(event)
        return Outcome(event, EventState.PROCESSED)

    def failed(self, event: StripeEvent, error: str, unit_of_work: UnitOfWork) -> Outcome:
        """An event to be tried again later, or after too long never: then somebody must look."""
        now = int(self._clock())
        since = now if event.failing_since is None else event.failing_since
        due = next_attempt_at(event.attempts + 1, since, now, self._random)
        if due is None:
            log.error("event_dead", event_id=event.id, event_type=event.type)
            # One that was replayed may die again, and somebody must look again.
            cause = f"{event.id}:{since}"
            unit_of_work.announce(
                event_dead, event, cause=cause, event_type=event.type, object_id=event.object_id
            )
        return Outcome(
            event,
            EventState.DEAD if due is None else EventState.FAILED,
            storable(error, event),
            failing_since=since,
            next_attempt_at=due,
        )

    def _left(self, event: StripeEvent) -> Outcome:
        """It failed in a receiver that another process has: that one is to try again; this is no attempt."""
        since, due = event.failing_since, int(self._clock()) + LEFT_SECONDS
        return Outcome(
            event, EventState.FAILED, NO_RECEIVER, failing_since=since, next_attempt_at=due, tried=False
        )

    def is_handled(self, event: StripeEvent) -> bool:
        """Whether the event changes records here."""
        return not event.thin and has_receivers(event.type) and self._is_ours(event)

    def _is_ours(self, event: StripeEvent) -> bool:
        """Not of a connected account, nor of the other mode: those grant nothing here."""
        if event.source == "internal":
            return True
        return event.account is None and self._livemode in (None, event.livemode)

    def _state_unhandled(self, event: StripeEvent) -> str:
        # A thin event says only which object changed: it waits to be read from Stripe.
        waits = event.thin and has_receivers(event.type.removeprefix("v1.")) and self._is_ours(event)
        return EventState.PENDING if waits else EventState.IGNORED


def _is_stale(event: StripeEvent, unit_of_work: UnitOfWork) -> bool:
    """Whether the record has changed since just before the event's snapshot was read from Stripe."""
    if event.read_at_version is None:
        return False
    model = KINDS[event.object["object"]]
    if unit_of_work.has_changed(model, event.object_id):
        return True  # by an event of the same batch, whose version is counted up when it is written
    row = unit_of_work.find(model, event.object_id)
    return event.read_at_version != (row.__dict__["version"] if row else 0)
