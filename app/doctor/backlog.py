"""What waits or was given up: events in the inbox, reactions in the outbox."""

from .checks import Check, of_catalogue

CHECKS: tuple[Check, ...] = (
    of_catalogue("dead-events", "records"),
    of_catalogue("failing-events", "records"),
    of_catalogue("thin-events", "records"),
    of_catalogue("dead-reactions", "records"),
    of_catalogue("silence", "records"),
)
