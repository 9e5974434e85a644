"""Dispatches one event to its receivers, in memory, and returns the outcome."""

import random
from collections.abc import Callable

import structlog

from .. import COMMAND
from ..backoff import next_attempt_at
from ..db.models import EventState
from ..errors import ServiceError, Stale
from ..signals import INTERNAL, event_dead, event_signal, has_receivers
from ..stripe.own_account import UNKNOWN, OwnAccount
from .delivery import Delivery
from .kinds import KINDS
from .outcome import Outcome, storable
from .thin import is_awaited
from .unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

NOT_APPLIED = "The change could not be applied, and nothing was changed. The log names the error."
"""The answer to a caller of the internal API, who waits for it: nothing is kept to be retried."""
NO_RECEIVER = "Nothing in this process handles events of its type, though something did when it failed."
DAY = 86_400
AHEAD_SECONDS = DAY
TEST_CLOCK_SECONDS = 10 * 365 * DAY
"""How far ahead of the clock an event may be dated. In test mode objects may run on a test clock ("Test
clocks"), and not every object says so."""
AHEAD_REMEDY = f"check this machine's clock (`{COMMAND} doctor`); an event of Stripe's is never that far."
LEFT_SECONDS = 120
"""How long such an event is left alone, so that a process that has the receiver takes it."""


class Applier:
    """Applies events. `livemode` None takes both modes; `clock` gives Unix seconds; `account`: ours."""

    def __init__(
        self, *, livemode: bool | None, clock: Callable[[], float], account: OwnAccount | None = None
    ) -> None:
        self._livemode = livemode
        self._account = account or OwnAccount()
        self._clock = clock
        self._random = random.Random()

    def apply(self, delivery: Delivery, unit_of_work: UnitOfWork) -> Outcome:
        """Dispatches one event to its receivers and returns the outcome.

        The changes are in the unit of work; where a receiver raised, nothing is changed.
        """
        event = delivery.event
        if self._has_unknown_owner(delivery):
            return self._left_for_later(delivery, UNKNOWN)
        if not self.is_handled(delivery):
            awaited = delivery.retry and delivery.has_failed and not event.thin
            if awaited and self._is_ours(delivery) and not event.type.startswith(INTERNAL):
                return self._left_for_later(delivery, NO_RECEIVER)
            return Outcome(delivery, self._state_unhandled(delivery))
        if problem := event.problem or self._is_ahead(delivery):
            return self.failed(delivery, problem, unit_of_work)
        if _is_stale(delivery, unit_of_work):
            return Outcome(delivery, EventState.FAILED, rejected=Stale("The record has changed meanwhile."))
        try:
            with unit_of_work.undone_on_error(delivery):
                event_signal(event.type).send(event, unit_of_work=unit_of_work)
        except ServiceError as error:
            if delivery.is_internal:
                return Outcome(delivery, EventState.FAILED, rejected=error)
            return self.failed(delivery, error.detail, unit_of_work)
        except Exception as error:
            log.error("handler_failed", event_id=event.id, event_type=event.type, error=type(error).__name__)
            if delivery.is_internal:
                return Outcome(delivery, EventState.FAILED, rejected=ServiceError(NOT_APPLIED))
            return self.failed(delivery, f"{type(error).__name__}: {error}", unit_of_work)
        is_snapshot = not delivery.is_internal and event.read_for is None
        if is_snapshot and event.object_id in unit_of_work.history:
            unit_of_work.history[event.object_id].add(event)
        return Outcome(delivery, EventState.PROCESSED)

    def failed(self, delivery: Delivery, error: str, unit_of_work: UnitOfWork) -> Outcome:
        """The outcome of an event that failed: it is retried later, or becomes a dead letter."""
        now, event = int(self._clock()), delivery.event
        since = now if delivery.failing_since is None else min(delivery.failing_since, now)
        due = next_attempt_at(delivery.attempts + 1, since, now, self._random)
        if due is None:
            log.error("event_dead", event_id=event.id, event_type=event.type)
            # An event that was replayed may fail for good again, and is announced again.
            cause = f"{event.id}:{since}"
            unit_of_work.announce(
                event_dead, event, cause=cause, event_type=event.type, object_id=event.object_id
            )
        return Outcome(
            delivery,
            EventState.DEAD if due is None else EventState.FAILED,
            storable(error, event),
            failing_since=since,
            next_attempt_at=due,
        )

    def _left_for_later(self, delivery: Delivery, why: str) -> Outcome:
        """The event cannot be applied by this process now: no attempt is counted."""
        since, due = delivery.failing_since, int(self._clock()) + LEFT_SECONDS
        return Outcome(
            delivery, EventState.FAILED, why, failing_since=since, next_attempt_at=due, tried=False
        )

    def _is_ahead(self, delivery: Delivery) -> str | None:
        """Why an event of the future is set aside: applied, it would hide all that follows until then."""
        event = delivery.event
        limit = AHEAD_SECONDS if event.livemode else TEST_CLOCK_SECONDS
        ahead = event.created - self._clock()
        if delivery.is_internal or ahead <= limit or event.object.get("test_clock"):
            return None
        return (
            f"It is dated {ahead / DAY:.0f} days ahead of this machine's clock, and set aside: {AHEAD_REMEDY}"
        )

    def is_handled(self, delivery: Delivery) -> bool:
        """Whether the event changes records here."""
        event = delivery.event
        if event.type.startswith(INTERNAL) and not delivery.is_internal:
            return False  # whatever sent it, it has not the rights of the internal API
        return not event.thin and has_receivers(event.type) and self._is_ours(delivery)

    def _is_ours(self, delivery: Delivery) -> bool:
        """Events of a connected account or of the other mode grant nothing here."""
        if delivery.is_internal:
            return True
        event = delivery.event
        return self._livemode in (None, event.livemode) and self._account.owns(event) is True

    def _has_unknown_owner(self, delivery: Delivery) -> bool:
        """Whether the event has a handler, and it is not known yet whether it is of our account."""
        event = delivery.event
        if delivery.is_internal or self._account.owns(event) is not None:
            return False
        wanted = is_awaited(event) if event.thin else has_receivers(event.type)
        return wanted and self._livemode in (None, event.livemode)

    def _state_unhandled(self, delivery: Delivery) -> str:
        # A thin event says only which object changed: it waits until that object is fetched from Stripe.
        event = delivery.event
        waits = event.thin and self._is_ours(delivery) and is_awaited(event)
        return EventState.PENDING if waits else EventState.IGNORED


def _is_stale(delivery: Delivery, unit_of_work: UnitOfWork) -> bool:
    """Whether the record has changed since just before the event's snapshot was fetched from Stripe."""
    if delivery.read_at_version is None:
        return False
    event = delivery.event
    model = KINDS[event.object["object"]]
    if unit_of_work.has_changed(model, event.object_id):
        return True  # by an event of the same batch, whose version is counted up when it is written
    row = unit_of_work.find(model, event.object_id)
    return delivery.read_at_version != (row.__dict__["version"] if row else 0)
