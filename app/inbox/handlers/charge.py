"""Refunds and disputes: reactions, and what they take back from a purchase or restore to it."""

from typing import Any

from ...entitlements.refunds import ENDED_IN_VAIN
from ...signals import payment_disputed, payment_refunded, refund_failed
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, as_integer, as_object_id, as_text
from ..unit_of_work import Payer, UnitOfWork
from .purchase import buyer, failed_before, record_dispute, record_refund, record_refund_itself


def charge_refunded(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `payment_refunded`. What was bought once is clawed back, by the policy of the catalogue."""
    record_refund(event, unit_of_work)
    _announce_refund(event, unit_of_work)


def refunded_total(event: StripeEvent) -> str:
    """The charge that an event refunds, and how much of it was refunded in all (minor currency units)."""
    charge = event.object
    return f"{as_id(charge.get('id')) or event.id}:{as_integer(charge.get('amount_refunded'))}"


def refund_fact(event: StripeEvent, unit_of_work: UnitOfWork) -> str:
    """Which refund an event of a charge tells, as far as is known now.

    The total that was refunded distinguishes one refund from the next: each makes it greater. One that fails
    lowers it, so a later one can reach the same total: the refund that failed last distinguishes these.
    """
    failed = failed_before(event, unit_of_work)
    return refunded_total(event) + (f":{failed}" if failed else "")


def failed_charge(event: StripeEvent) -> str | None:
    """The charge of a refund that failed or was canceled, where the event is about one."""
    refund = event.object
    is_failed = refund.get("object") == "refund" and as_text(refund.get("status")) in ENDED_IN_VAIN
    return as_id(refund.get("charge")) if is_failed else None


def _announce_refund(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Have the refund announced that an event of a charge tells; `refund_events` names it, or drops it."""
    charge = event.object
    unit_of_work.announce(
        payment_refunded,
        event,
        fact=f"{refunded_total(event)}:{event.id}",
        user_id=buyer(event, unit_of_work),
        customer_id=as_id(charge.get("customer")),
        invoice_id=as_id(charge.get("invoice")),  # gone since 2025-03-31.basil
        charge_id=as_id(charge.get("id")),
        amount=as_integer(charge.get("amount_refunded")),
        currency=as_text(charge.get("currency")),
    )


def refund_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `refund_failed` for one that failed or was canceled: what it had clawed back is restored.

    Another refund of the charge may not be announced yet, because it reached the same total as this one.
    A refund names its charge and its payment intent alone, not the customer: see `payers`.
    """
    record_refund_itself(event, unit_of_work)
    refund = event.object
    refund_id, status = as_id(refund.get("id")), as_text(refund.get("status"))
    if status not in ENDED_IN_VAIN:
        return
    for told in unit_of_work.stored_refunds.values():
        if told.object_id == failed_charge(event):
            _announce_refund(told, unit_of_work)
    unit_of_work.announce(
        refund_failed,
        event,
        fact=refund_id or event.id,
        refund_id=refund_id,
        reason=as_text(refund.get("failure_reason")),
        **_shared(event, unit_of_work),
    )


def charge_dispute_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `payment_disputed`. What was bought once is clawed back when the dispute is lost.

    A dispute names its charge alone, not the customer: see `payers`.
    """
    record_dispute(event, unit_of_work)
    dispute = event.object
    dispute_id, status = as_id(dispute.get("id")), as_text(dispute.get("status"))
    unit_of_work.announce(
        payment_disputed,
        event,
        fact=f"{dispute_id or event.id}:{status}",
        dispute_id=dispute_id,
        reason=as_text(dispute.get("reason")),
        **_shared(event, unit_of_work),
    )


def _shared(event: StripeEvent, unit_of_work: UnitOfWork) -> dict[str, Any]:
    """What the announcements of a refund and of a dispute have in common."""
    said = event.object
    payer = unit_of_work.payers.get(as_id(said.get("id")) or "", Payer())
    return {
        "user_id": buyer(event, unit_of_work),
        "customer_id": payer.customer_id,
        "subscription_id": payer.subscription_id,
        "invoice_id": payer.invoice_id,
        "charge_id": as_object_id(said.get("charge")),
        "amount": as_integer(said.get("amount")),
        "currency": as_text(said.get("currency")),
        "status": as_text(said.get("status")),
    }
