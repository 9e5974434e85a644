"""Charges and disputes: what is taken back from an account that was paid."""

from .model import Charge, Dispute
from .payments import payment_intent_id
from .shapes import NEW, OLD, Json, Shape


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
        "customer": charge.customer or None,
        "description": "Subscription update" if _invoice(charge) else None,
        "disputed": charge.disputed,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": payment_intent_id(charge.invoice),
        "receipt_email": None,
        "refunded": charge.amount_refunded == charge.amount,
        "status": "succeeded",
    }
    # 2025-03-31.basil took the invoice from the charge.
    return _unused_of_charge() | content | ({"invoice": _invoice(charge)} if shape == OLD else {})


def _invoice(charge: Charge) -> str | None:
    """None for one that paid a checkout session."""
    return charge.invoice if charge.invoice.startswith("in_") else None


def _unused_of_charge() -> Json:
    """Members that the simulator never fills otherwise, each time as a new copy."""
    absent = (
        "application",
        "application_fee",
        "application_fee_amount",
        "authorization_code",
        "failure_balance_transaction",
        "level3",
        "on_behalf_of",
        "payment_method",
        "presentment_details",
        "receipt_number",
        "receipt_url",
        "review",
        "shipping",
        "source",
        "source_transfer",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer",
        "transfer_data",
        "transfer_group",
    )
    return dict.fromkeys(absent) | {
        "calculated_statement_descriptor": "EXAMPLE",
        "fraud_details": {},
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "radar_options": {},
    }


def render_dispute(dispute: Dispute, shape: Shape) -> Json:
    content: Json = {
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
        "payment_intent": dispute.payment_intent,
        "reason": "fraudulent",
        "status": dispute.status,
    }
    if shape == NEW:
        content |= {
            "enhanced_eligibility_types": [],
            "intended_submission_method": None,
            "network_reason_code": "10.4",
            "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback"}, "type": "card"},
        }
    return content
