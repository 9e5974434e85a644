"""What became of an event: said to whoever delivered it, and stored with it."""

from dataclasses import dataclass
from typing import Literal

from ..db import Row
from ..db.models import EventState
from ..errors import ServiceError
from ..observability.redaction import redacted
from ..stripe.events import StripeEvent
from .delivery import Delivery

Status = Literal["processed", "duplicate", "ignored", "deferred"]

MAX_ERROR_LENGTH = 1000

STATUS_OF_STATE: dict[str, Status] = {
    EventState.PROCESSED: "processed",
    EventState.IGNORED: "ignored",
    EventState.FAILED: "deferred",
    EventState.PENDING: "deferred",
    EventState.DEAD: "deferred",
}


@dataclass(slots=True)
class Outcome:
    """What became of an event: its state in the inbox, or why it was rejected and not stored."""

    delivery: Delivery
    state: str
    error: str | None = None
    duplicate: bool = False
    rejected: ServiceError | None = None
    failing_since: int | None = None
    next_attempt_at: int | None = None
    tried: bool = True
    """Whether it counts as an attempt."""

    @property
    def event(self) -> StripeEvent:
        return self.delivery.event

    @property
    def status(self) -> Status:
        return "duplicate" if self.duplicate else STATUS_OF_STATE[self.state]


def event_row(outcome: Outcome, now: int) -> Row:
    """The inbox's row of an event, as it stands after this outcome. `now` in Unix seconds."""
    delivery, event = outcome.delivery, outcome.event
    is_finished = outcome.state in (EventState.PROCESSED, EventState.IGNORED)
    waits = outcome.state == EventState.PENDING or not outcome.tried
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "created": event.created or None,
        "api_version": event.api_version,
        "livemode": event.livemode,
        "account": event.account or (event.context or "").rpartition("/")[2] or None,
        "source": delivery.source,
        "body": event.body,
        "signature": delivery.signature,
        "received_at": delivery.received_at,
        "state": outcome.state,
        "attempts": delivery.attempts if waits else delivery.attempts + 1,
        "last_error": outcome.error,
        "processed_at": now if is_finished else None,
        "first_processed_at": now if outcome.state == EventState.PROCESSED else None,
        "failing_since": outcome.failing_since,
        "next_attempt_at": outcome.next_attempt_at,
    }


def storable(error: str, event: StripeEvent) -> str:
    """What may be stored of an error, and shown: nothing of what the event says of a person."""
    text = redacted(error, event.object, event.previous_attributes).replace("\x00", "")
    return text.encode("utf-8", "replace").decode()[:MAX_ERROR_LENGTH]
