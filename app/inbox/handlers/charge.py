"""`charge.refunded`, `charge.dispute.created`, `.closed`: somebody should hear of it."""

from ...signals import payment_disputed, payment_refunded
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, as_integer, as_text
from ..unit_of_work import Payer, UnitOfWork


def charge_refunded(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    charge = event.object
    unit_of_work.announce(
        payment_refunded,
        event,
        customer_id=as_id(charge.get("customer")),
        invoice_id=as_id(charge.get("invoice")),  # gone since 2025-03-31.basil
        charge_id=as_id(charge.get("id")),
        amount=as_integer(charge.get("amount_refunded")),
        currency=as_text(charge.get("currency")),
    )


def charge_dispute_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """A dispute names its charge alone, not the customer: see `payers`."""
    dispute = event.object
    payer = unit_of_work.payers.get(as_id(dispute.get("id")) or "", Payer())
    unit_of_work.announce(
        payment_disputed,
        event,
        customer_id=payer.customer_id,
        subscription_id=payer.subscription_id,
        invoice_id=payer.invoice_id,
        dispute_id=as_id(dispute.get("id")),
        charge_id=as_id(dispute.get("charge")),
        amount=as_integer(dispute.get("amount")),
        currency=as_text(dispute.get("currency")),
        status=as_text(dispute.get("status")),
        reason=as_text(dispute.get("reason")),
    )
