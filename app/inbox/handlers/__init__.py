"""What is done with which event. Handlers are pure: from an event and the rows it names to changed rows."""

from collections.abc import Callable

from ...signals import INTERNAL, event_signal, handled_types, has_receivers
from ...stripe.event_types import plain_type, snapshot_types
from ...stripe.events import StripeEvent
from ..unit_of_work import UnitOfWork
from .charge import charge_dispute_changed, charge_refunded, refund_changed
from .checkout import checkout_session_completed
from .customer import customer_snapshot
from .internal import internal_customer_linked, internal_subscription_updated
from .invoice import invoice_deleted, invoice_finalization_failed, invoice_snapshot
from .invoice_parts import credit_note_changed, invoice_payment_changed
from .price import price_snapshot, product_snapshot
from .subscription import subscription_snapshot, subscription_status_reached, trial_will_end
from .subscription_schedule import subscription_schedule_snapshot
from .warnings import checkout_session_expired, checkout_session_failed, early_fraud_warning_created

Handler = Callable[[StripeEvent, UnitOfWork], None]

HANDLERS: dict[str, Handler] = {
    "customer.subscription.created": subscription_snapshot,
    "customer.subscription.updated": subscription_snapshot,
    "customer.subscription.deleted": subscription_snapshot,
    "customer.subscription.paused": subscription_snapshot,
    "customer.subscription.resumed": subscription_snapshot,
    "customer.subscription.trial_will_end": trial_will_end,
    "customer.subscription.pending_update_applied": subscription_snapshot,
    "customer.subscription.pending_update_expired": subscription_snapshot,
    # These have no snapshot: thin events alone say when a status was reached.
    "customer.subscription.active": subscription_status_reached,
    "customer.subscription.trialing": subscription_status_reached,
    "customer.subscription.past_due": subscription_status_reached,
    "customer.subscription.unpaid": subscription_status_reached,
    "subscription_schedule.created": subscription_schedule_snapshot,
    "subscription_schedule.updated": subscription_schedule_snapshot,
    "subscription_schedule.released": subscription_schedule_snapshot,
    "subscription_schedule.canceled": subscription_schedule_snapshot,
    "subscription_schedule.completed": subscription_schedule_snapshot,
    "subscription_schedule.aborted": subscription_schedule_snapshot,
    "invoice.created": invoice_snapshot,
    "invoice.updated": invoice_snapshot,
    "invoice.overdue": invoice_snapshot,
    "invoice.payment_succeeded": invoice_snapshot,
    "invoice.payment_failed": invoice_snapshot,
    "invoice.paid": invoice_snapshot,
    "invoice.payment_action_required": invoice_snapshot,
    "invoice.finalized": invoice_snapshot,
    "invoice.voided": invoice_snapshot,
    "invoice.marked_uncollectible": invoice_snapshot,
    "invoice.deleted": invoice_deleted,
    "invoice.finalization_failed": invoice_finalization_failed,
    "invoice_payment.paid": invoice_payment_changed,
    "invoice_payment.failed": invoice_payment_changed,
    "credit_note.created": credit_note_changed,
    "credit_note.updated": credit_note_changed,
    "credit_note.voided": credit_note_changed,
    "checkout.session.completed": checkout_session_completed,
    "checkout.session.async_payment_succeeded": checkout_session_completed,
    "checkout.session.async_payment_failed": checkout_session_failed,
    "checkout.session.expired": checkout_session_expired,
    "radar.early_fraud_warning.created": early_fraud_warning_created,
    "charge.refunded": charge_refunded,
    "refund.created": refund_changed,
    "refund.updated": refund_changed,
    "refund.failed": refund_changed,
    "charge.refund.updated": refund_changed,
    "charge.dispute.created": charge_dispute_changed,
    "charge.dispute.closed": charge_dispute_changed,
    "customer.created": customer_snapshot,
    "customer.updated": customer_snapshot,
    "customer.deleted": customer_snapshot,
    "price.created": price_snapshot,
    "price.updated": price_snapshot,
    "price.deleted": price_snapshot,
    "product.created": product_snapshot,
    "product.updated": product_snapshot,
    "product.deleted": product_snapshot,
    "internal.subscription.updated": internal_subscription_updated,
    "internal.customer.linked": internal_customer_linked,
}


READ_BEFORE: frozenset[Handler] = frozenset({subscription_snapshot, customer_snapshot})
"""The handlers that have applied what was read for a thin event before its receivers are called."""


def handled() -> set[str]:
    """Stripe's event types that have a receiver here, ours or the application's."""
    return {*handled_types(), *(name for name in HANDLERS if not name.startswith(INTERNAL))}


def has_receivers_of_application(event_type: str) -> bool:
    """Whether a receiver that is none of these handlers is connected to the type, with or without `v1.`."""
    signals = [event_signal(name) for name in {event_type, plain_type(event_type)} if has_receivers(name)]
    ours = set(HANDLERS.values())
    return any(receiver not in ours for signal in signals for receiver in signal.receivers_for(None))


def stripe_types() -> list[str]:
    """The handled types that a webhook endpoint can send, and that Stripe lists."""
    return snapshot_types(handled())


def connect() -> None:
    """Connect every handler to its event's signal; connecting twice is as good as once.

    Raises:
        RuntimeError: when a handled event ends up with no receiver.
    """
    for event_type, handler in HANDLERS.items():
        event_signal(event_type).connect(handler)
    if missing := [event_type for event_type in HANDLERS if not has_receivers(event_type)]:
        raise RuntimeError(f"No receiver is connected for {', '.join(missing)}.")
