"""What waits or was given up: events in the inbox, reactions in the outbox; and how events arrive."""

from .checks import Check, of_catalogue

CHECKS: tuple[Check, ...] = (
    of_catalogue("dead-events", "records"),
    of_catalogue("failing-events", "records"),
    of_catalogue("thin-events", "records"),
    of_catalogue("dead-reactions", "records"),
    of_catalogue("failing-receivers", "records"),
    of_catalogue("refused-webhooks", "records"),
    of_catalogue("catch-up-only", "records"),
    of_catalogue("silence", "records"),
)
