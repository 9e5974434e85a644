"""`charge.refunded`, `charge.dispute.created`, `.closed`: reactions, and what they take back."""

from ...signals import payment_disputed, payment_refunded
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, as_integer, as_text
from ..unit_of_work import Payer, UnitOfWork
from .purchase import record_dispute, record_refund


def charge_refunded(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `payment_refunded`. What was bought once is clawed back, by the policy of the catalogue.

    The total that was refunded distinguishes one refund from the next: each makes it greater.
    """
    record_refund(event, unit_of_work)
    charge = event.object
    charge_id, amount = as_id(charge.get("id")), as_integer(charge.get("amount_refunded"))
    unit_of_work.announce(
        payment_refunded,
        event,
        fact=f"{charge_id or event.id}:{amount}",
        customer_id=as_id(charge.get("customer")),
        invoice_id=as_id(charge.get("invoice")),  # gone since 2025-03-31.basil
        charge_id=charge_id,
        amount=amount,
        currency=as_text(charge.get("currency")),
    )


def charge_dispute_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `payment_disputed`. What was bought once is clawed back when the dispute is lost.

    A dispute names its charge alone, not the customer: see `payers`.
    """
    record_dispute(event, unit_of_work)
    dispute = event.object
    dispute_id, status = as_id(dispute.get("id")), as_text(dispute.get("status"))
    payer = unit_of_work.payers.get(dispute_id or "", Payer())
    unit_of_work.announce(
        payment_disputed,
        event,
        fact=f"{dispute_id or event.id}:{status}",
        customer_id=payer.customer_id,
        subscription_id=payer.subscription_id,
        invoice_id=payer.invoice_id,
        dispute_id=dispute_id,
        charge_id=as_id(dispute.get("charge")),
        amount=as_integer(dispute.get("amount")),
        currency=as_text(dispute.get("currency")),
        status=status,
        reason=as_text(dispute.get("reason")),
    )
