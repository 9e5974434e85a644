"""`invoice.*`: the invoice's record, and how far its subscription is paid. Never touches a status."""

from ...db.models import Invoice
from ...stripe.events import StripeEvent
from ...stripe.objects import INVOICE_STATUS_RANK, invoice_values, paid_through, required_id
from ..unit_of_work import UnitOfWork
from .announcements import announce_payment
from .customer import ensure_customer
from .subscription import ensure_subscription


def invoice_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    values = invoice_values(event.object)
    invoice_id = required_id(event.object, "id")
    if values["customer_id"]:
        ensure_customer(unit_of_work, values["customer_id"])
    for subscription_id in event.names["subscription"]:
        subscription = ensure_subscription(unit_of_work, subscription_id)
        if subscription.customer_id is None:
            unit_of_work.change(subscription, customer_id=values["customer_id"])
    if values["status"] == "paid":
        _extend_paid_through(event, unit_of_work)

    invoice = unit_of_work.find(Invoice, invoice_id)
    before = dict(invoice.__dict__) if invoice else None
    values |= {"snapshot_created": event.created, "snapshot_event_id": event.id}
    if invoice is None:
        invoice = unit_of_work.add(Invoice, invoice_id, **values)
    elif _progress(values) > _progress(invoice.__dict__):
        unit_of_work.change(invoice, **values)
    announce_payment(unit_of_work, event, values, before, invoice)


def _extend_paid_through(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    for subscription_id, end in paid_through(event.object).items():
        subscription = ensure_subscription(unit_of_work, subscription_id)
        if subscription.paid_through is None or end > subscription.paid_through:
            unit_of_work.change(subscription, paid_through=end)


def _progress(values: dict[str, object]) -> tuple[object, ...]:
    """How far an invoice has come: its `created` alone would not tell events of one second apart.

    draft < open < uncollectible < paid, void ("How invoicing works", invoice status transitions).
    """
    return (
        INVOICE_STATUS_RANK.get(str(values["status"]), -1),
        values["attempt_count"],
        values["amount_paid"] or 0,
        values["snapshot_created"],
        values["snapshot_event_id"],
    )
