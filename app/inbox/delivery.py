"""One event on its way through the inbox: what Stripe said, and what the inbox knows of the delivery."""

from dataclasses import dataclass
from typing import Literal

from ..db.models import AuditEntry
from ..stripe.events import StripeEvent, parse

Source = Literal["stripe", "internal", "catch-up", "re-read"]


@dataclass(slots=True, eq=False)
class Delivery:
    """An event and how it came here. Times in Unix seconds."""

    event: StripeEvent
    source: Source = "stripe"
    received_at: int = 0
    signature: str | None = None
    retry: bool = False
    """Whether the inbox has stored the event already, and applies it again."""
    leased_until: int | None = None
    """Until when the worker that retries it has it, as its row says; another value there: it lost it."""
    attempts: int = 0
    """How often it was tried since it was last replayed."""
    has_failed: bool = False
    """Whether it ever failed in a receiver; such an event is not ignored where that receiver is missing."""
    failing_since: int | None = None
    read_at_version: int | None = None
    """For a snapshot that was fetched from Stripe: the version of the record before (0: no record)."""
    stated: tuple[int, str] | None = None
    """For an object that was fetched because of an event: the `created` and the id of that event."""
    actor: str | None = None
    """Who makes the change, for an event of the internal API."""
    audit: AuditEntry | None = None
    """Written in the event's transaction: the change at Stripe that the event is the answer to."""

    @property
    def is_internal(self) -> bool:
        """Whether the event was made by the internal API, and not by Stripe."""
        return self.source == "internal"


def receive(body: bytes, *, signature: str | None, received_at: int, source: Source = "stripe") -> Delivery:
    """Parse a body and note how it came here. `received_at` in Unix seconds.

    Raises:
        InvalidPayload: when the body is not UTF-8 or not a JSON object.
    """
    return Delivery(parse(body), source=source, received_at=received_at, signature=signature)
