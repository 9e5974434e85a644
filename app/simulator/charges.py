"""Charges and disputes: what is taken back from an account that was paid."""

from .model import Charge, Dispute
from .shapes import OLD, Json, Shape


def render_charge(charge: Charge, shape: Shape) -> Json:
    content: Json = {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount,
        "amount_refunded": charge.amount_refunded,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "captured": True,
        "created": charge.created,
        "currency": charge.currency,
        "customer": charge.customer,
        "description": "Subscription update",
        "disputed": charge.disputed,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": None,
        "receipt_email": None,
        "refunded": charge.amount_refunded == charge.amount,
        "status": "succeeded",
    }
    # 2025-03-31.basil took the invoice from the charge.
    return content | ({"invoice": charge.invoice} if shape == OLD else {})


def render_dispute(dispute: Dispute) -> Json:
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "evidence": {},
        "evidence_details": {"due_by": dispute.created + 7 * 86_400, "has_evidence": False},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": None,
        "reason": "fraudulent",
        "status": dispute.status,
    }
