"""Since when a payment is due: merged from every event of a subscription, in whatever order they come.

The newest step from `active` or `trialing` into `past_due` or `unpaid` counts; without one, the first
snapshot that says that a payment is due, after the newest that says that none is. A pause in between, a new
period, an older open invoice change nothing ("How subscriptions work", subscription statuses).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...stripe.events import StripeEvent
from ...stripe.objects import as_text

RUNNING = frozenset({"active", "trialing"})
DUE = frozenset({"past_due", "unpaid"})
MAX_MOMENTS = 64
"""How many moments are remembered: the first, and the latest. Stripe sends a handful for each period."""


class Evidence(NamedTuple):
    """What one event says of when the subscription was running, and when a payment was due (Unix seconds)."""

    running_at: int | None
    due_at: int | None


def evidence_of(event: StripeEvent) -> Evidence:
    """Reads the status after the event, and the one before it where Stripe says so."""
    status = as_text(event.object.get("status"))
    before = as_text((event.previous_attributes or {}).get("status"))
    running = status in RUNNING or before in RUNNING
    # Who was past due and is running again has paid: that begins nothing.
    due = status in DUE or (before in DUE and status not in RUNNING)
    return Evidence(event.created if running else None, event.created if due else None)


def evidence_of_status(status: str, at: int) -> Evidence:
    """What a thin event says by its type: the status that began. `at` in Unix seconds."""
    return Evidence(at if status in RUNNING else None, at if status in DUE else None)


def merged(row: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """The columns `running_at` and `due_at` with what one more event says."""
    running_at = max((at for at in (row["running_at"], evidence.running_at) if at is not None), default=None)
    moments = {*(row["due_at"] or ()), evidence.due_at}
    later = sorted(at for at in moments if at is not None and (running_at is None or at >= running_at))
    return {"running_at": running_at, "due_at": _bounded(later) or None}


def _bounded(moments: list[int]) -> list[int]:
    return moments if len(moments) <= MAX_MOMENTS else [moments[0], *moments[1 - MAX_MOMENTS :]]


def past_due_since(status: str | None, row: Mapping[str, Any]) -> int | None:
    """When the payment became due that a subscription of this status waits for, if it waits for one."""
    if status not in DUE:
        return None
    since: int | None = row["due_at"][0] if row["due_at"] else row["running_at"]
    return since
