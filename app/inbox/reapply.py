"""Reapplies a record's stored events by today's rules, for rows that another release wrote.

What a record means merges from its events in any order, so applying them once more changes only what the
rules see in another way. Which snapshot is the newest stays as it is: the record names that event.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from ..db.models import Customer, Invoice, Record, Subscription
from ..entitlements import owed_by_subscription
from ..errors import InvalidPayload
from ..signals import INTERNAL
from ..stripe.events import StripeEvent
from ..stripe.invoice_lines import paid_until
from ..stripe.objects import invoice_values
from .delivery import Delivery, receive
from .handlers import HANDLERS
from .handlers.links import drop_moved_claim, resolve_stored
from .handlers.paid_through import explained
from .handlers.past_due import DUE, is_set_by_invoices, note_invoice
from .unit_of_work import Reapplied, UnitOfWork

log = structlog.get_logger(__name__)

SESSIONS = "checkout.session."
"""How the types of checkout sessions begin."""
MAX_EVENTS = 1000
"""How many events of one record are applied again, the latest ones."""
EVENTS_OF = (
    "SELECT id, body, source, received_at FROM billing_event WHERE object_id = ? AND state = 'processed' "
    "AND source <> 'internal' ORDER BY created DESC, id DESC LIMIT ?"
)


def stored_events(rows: Iterable[Mapping[str, Any]]) -> list[Delivery]:
    """The events whose handlers change records here, from rows with these columns of the inbox."""
    deliveries = []
    for row in rows:
        try:
            delivery = receive(
                row["body"].encode(), signature=None, received_at=row["received_at"], source=row["source"]
            )
        except InvalidPayload:
            log.error("stored_event_unreadable", event_id=row["id"])
            continue
        # A thin event says nothing of its object: what was read for it is an event of its own.
        event = delivery.event
        is_stripes = event.type in HANDLERS and not event.type.startswith(INTERNAL)
        if is_stripes and not event.thin and not event.problem:
            deliveries.append(delivery)
    return deliveries


OF_INVOICES = (
    "SELECT id, body, source, received_at FROM billing_event WHERE object_id IN "
    "(SELECT id FROM billing_invoice WHERE subscription_id = ?) AND state = 'processed' "
    "AND type LIKE 'invoice.%' ORDER BY created DESC, id DESC LIMIT ?"
)
PAID_TYPES = ("invoice.paid", "invoice.payment_succeeded")


def reapply(
    unit_of_work: UnitOfWork,
    record: Record,
    stored: Sequence[Delivery],
    invoices: Sequence[Invoice] = (),
    told: Sequence[Delivery] = (),
) -> None:
    """Apply the stored events of a record once more, and mark its row as following today's rules.

    The rows that the events name are loaded. `invoices`: those of a subscription; `told`: the stored events
    of those.
    """
    if isinstance(record, Subscription):
        paid = [each.event.object for each in told if each.event.type in PAID_TYPES]
        lines = explained(record, record.id, paid)
        items = record.items if record.snapshot_rank is not None else None
        unit_of_work.change(record, paid_lines=lines or None, paid_through=paid_until(items, lines))
    columns = record.__dict__
    newest = columns["snapshot_event_id"]
    unit_of_work.reapplied = Reapplied(record.id, newest, columns.get("needs_refresh", False))
    try:
        for delivery in sorted(stored, key=lambda each: _order(each.event, newest)):
            _apply(unit_of_work, delivery)
    finally:
        unit_of_work.reapplied = None
        unit_of_work.reactions.clear()  # they were announced when the events came
    if isinstance(record, Customer):
        drop_moved_claim(unit_of_work, record, [each.event for each in stored if is_session(each.event)])
    if isinstance(record, Subscription):
        for delivery in told:
            note_invoice(unit_of_work, record, delivery.event, invoice_values(delivery.event.object))
        _fill_in(unit_of_work, record, invoices)
        resolve_stored(unit_of_work, record)
    unit_of_work.follow_rules(record)


def reapply_session(unit_of_work: UnitOfWork, delivery: Delivery) -> None:
    """Give the claims of a stored checkout session to the objects that they belong to."""
    unit_of_work.reapplied = Reapplied(delivery.event.object_id or "", None, False)
    try:
        _apply(unit_of_work, delivery)
    finally:
        unit_of_work.reapplied = None
        unit_of_work.reactions.clear()


def is_session(event: StripeEvent) -> bool:
    return event.type.startswith(SESSIONS)


def _order(event: StripeEvent, newest: str | None) -> tuple[bool, int, str]:
    """As they happened, but for the newest snapshot, which comes last."""
    return event.id == newest, event.created, event.id


def _apply(unit_of_work: UnitOfWork, delivery: Delivery) -> None:
    event = delivery.event
    try:
        with unit_of_work.undone_on_error(delivery):
            HANDLERS[event.type](event, unit_of_work)
    except Exception as error:  # it was applied once: the others still say what they say
        log.error("event_not_reapplied", event_id=event.id, error=type(error).__name__)


def _fill_in(unit_of_work: UnitOfWork, subscription: Subscription, invoices: Sequence[Invoice]) -> None:
    """What the events would have said that are pruned: from the invoices, and as the release before did."""
    if subscription.ever_paid is None and any(invoice.status == "paid" for invoice in invoices):
        unit_of_work.change(subscription, ever_paid=True)
    if subscription.status not in DUE or subscription.running_at is not None:
        return
    if is_set_by_invoices(subscription.__dict__):
        return
    owed = owed_by_subscription(invoices).get(subscription.id)
    moments = (owed and owed.oldest_attempted, subscription.current_period_start, subscription.start_date)
    since = next((moment for moment in moments if moment is not None), None)
    if since is not None and subscription.past_due_since is not None and since < subscription.past_due_since:
        later = [at for at in subscription.due_at or () if at > since]
        unit_of_work.change(subscription, due_at=[since, *later], past_due_since=since)
