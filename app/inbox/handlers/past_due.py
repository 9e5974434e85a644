"""Since when a payment is due: merged from every event of a subscription, in whatever order they come.

The newest step from `active` or `trialing` into `past_due` or `unpaid` counts; without one, the first
snapshot that says that a payment is due, after the newest that says that none is. A pause in between, a new
period, an older open invoice change nothing ("How subscriptions work", subscription statuses).

Of a subscription that was never seen running (the first import of one that is past due), the invoices decide:
the newest due date that had passed by then, else the oldest failed charge of the latest finalized invoice.
They are kept in `due_invoices`, `{invoice: {"created", "due", "failed", "over"}}`, until it is seen running.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...db.models import Subscription
from ...stripe.events import StripeEvent
from ...stripe.invoice_lines import failed_at
from ...stripe.objects import Values, as_dict, as_text
from ...stripe.ordering import Position
from ..unit_of_work import UnitOfWork
from .snapshots import current_position
from .subscription_columns import overlay_values

RUNNING = frozenset({"active", "trialing"})
DUE = frozenset({"past_due", "unpaid"})
MAX_MOMENTS = 64
"""How many moments are remembered: the first, and the latest. Stripe sends a handful for each period."""
MAX_INVOICES = 20
"""How many invoices are remembered: the latest."""
FINAL = frozenset({"paid", "void"})


class Evidence(NamedTuple):
    """What one event says of when the subscription was running, and when a payment was due (Unix seconds)."""

    running_at: int | None
    due_at: int | None


def evidence_of(event: StripeEvent) -> Evidence:
    """Reads the status after the event, and the one before it where Stripe says so."""
    before = as_text((event.previous_attributes or {}).get("status"))
    return _evidence(event.created, before, as_text(event.object.get("status")))


def evidence_of_thin(event: StripeEvent) -> Evidence | None:
    """What the thin event says for which the object was read: by its `changes` ("Thin events"), else by its
    type, such as `customer.subscription.past_due`; None for nothing.

    A subscription becomes past due while it is active, as far as nothing else is said.
    """
    at = event.happened_at
    before, after = (as_text(as_dict(event.changes.get(name)).get("status")) for name in ("before", "after"))
    if after is not None:
        return _evidence(at, before, after)
    status = event.type.rpartition(".")[2]
    if status not in RUNNING | DUE:
        return None
    return _evidence(at, "active" if status == "past_due" else None, status)


def _evidence(at: int, before: str | None, status: str | None) -> Evidence:
    running = status in RUNNING or before in RUNNING
    # Who was past due and is running again has paid: that begins nothing.
    due = status in DUE or (before in DUE and status not in RUNNING)
    return Evidence(at if running else None, at if due else None)


def merged(row: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """The columns that say since when a payment is due, with what one more event says."""
    running_at = max((at for at in (row["running_at"], evidence.running_at) if at is not None), default=None)
    moments = {*(row["due_at"] or ()), evidence.due_at}
    later = sorted(at for at in moments if at is not None and (running_at is None or at >= running_at))
    columns = {"running_at": running_at, "due_at": _bounded(later) or None}
    return columns if running_at is None else columns | {"due_invoices": None}


def _bounded(moments: list[int]) -> list[int]:
    return moments if len(moments) <= MAX_MOMENTS else [moments[0], *moments[1 - MAX_MOMENTS :]]


def note_invoice(
    unit_of_work: UnitOfWork, subscription: Subscription, event: StripeEvent, invoice: Values
) -> None:
    """Keep what an invoice says of when it became due, of a subscription that was never seen running.

    `invoice`: its columns by this event.
    """
    if subscription.running_at is not None or invoice["status"] in (None, "draft"):
        return
    known = subscription.due_invoices or {}
    id = event.object_id or ""
    was = known.get(id, {"created": 0, "due": None, "failed": None, "over": False})
    tried = event.happened_at if event.type == "invoice.payment_failed" else None
    failed = [at for at in (was["failed"], tried, failed_at(event.object)) if at is not None]
    now = {
        "created": max(was["created"], invoice["created"] or 0),
        "due": max((at for at in (was["due"], invoice["due_date"]) if at is not None), default=None),
        "failed": min(failed, default=None),
        "over": was["over"] or invoice["status"] in FINAL,
    }
    newest = sorted((known | {id: now}).items(), key=_age)[-MAX_INVOICES:]
    unit_of_work.change(subscription, due_invoices=dict(newest))
    place = current_position(subscription)
    unit_of_work.change(subscription, **since_values(subscription.status, subscription, place))


def _age(entry: tuple[str, Mapping[str, Any]]) -> tuple[int, str]:
    id, invoice = entry
    return invoice["created"], id


def past_due_since(status: str | None, row: Mapping[str, Any]) -> int | None:
    """When the payment became due that a subscription of this status waits for, if it waits for one."""
    if status not in DUE:
        return None
    first: int | None = row["due_at"][0] if row["due_at"] else row["running_at"]
    if row["running_at"] is not None or first is None:
        return first
    return _by_invoices(row["due_invoices"] or {}, first) or first


def _by_invoices(invoices: Mapping[str, Mapping[str, Any]], first: int) -> int | None:
    """What the invoices say, by the moment at which the subscription was first seen to be past due."""
    unpaid = [invoice for invoice in invoices.values() if not invoice["over"]]
    passed = [invoice["due"] for invoice in unpaid if invoice["due"] is not None and invoice["due"] <= first]
    if passed:
        return int(max(passed))
    _, latest = max(invoices.items(), key=_age, default=("", {}))
    failed = latest.get("failed")
    return failed if failed is not None and failed <= first and not latest["over"] else None


def is_set_by_invoices(row: Mapping[str, Any]) -> bool:
    """Whether the invoices say since when a subscription is past due that was never seen running."""
    first = row["due_at"][0] if row["due_at"] else None
    return first is not None and _by_invoices(row["due_invoices"] or {}, first) is not None


def since_values(status: str | None, subscription: Subscription, place: Position | None) -> Values:
    """The column `past_due_since`, unless an internal update says the status."""
    over = overlay_values(subscription.overlay, place)
    return {} if "status" in over else {"past_due_since": past_due_since(status, subscription.__dict__)}
