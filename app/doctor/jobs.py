"""The background jobs that call Stripe; the doctor judges them only where Stripe answers."""

from .checks import Check, of_catalogue

CHECKS: tuple[Check, ...] = (
    of_catalogue("catch-up", "records", "stripe"),
    of_catalogue("reconcile", "records", "stripe"),
    of_catalogue("differences", "records", "stripe"),
    of_catalogue("refresh", "records", "stripe"),
)
