"""Payments: an invoice or one-time session has one, by one payment intent and, once paid, one charge."""

from .ids import derived_id
from .model import Charge, CheckoutSession, Invoice, Record
from .shapes import Json


def charge_of(invoice: Invoice, now: int) -> Charge:
    """The charge that paid an invoice; `now` (Unix seconds) for one that is not paid."""
    return Charge(
        derived_id("ch", invoice.id),
        invoice.paid_at or now,
        invoice.customer,
        invoice.id,
        invoice.amount_paid,
        invoice.currency,
    )


def payment_intent_id(invoice_id: str) -> str:
    return derived_id("pi", invoice_id)


def refund_of(charge: Charge, amount: int, id: str, now: int) -> Record:
    """A refund of a charge by `amount` in minor units, made at `now` (Unix seconds)."""
    content: Json = REFUND | {
        "id": id,
        "amount": amount,
        "charge": charge.id,
        "created": now,
        "currency": charge.currency,
        "metadata": {},
        "payment_intent": payment_intent_id(charge.invoice),
        "reason": None,
    }
    return Record(id, now, "refund", content)


REFUND: Json = {
    "object": "refund",
    "balance_transaction": None,
    "customer": None,
    "customer_account": None,
    "description": None,
    "destination_details": {"card": {"type": "refund"}, "type": "card"},
    "failure_balance_transaction": None,
    "failure_reason": None,
    "instructions_email": None,
    "next_action": None,
    "payment_method": None,
    "pending_reason": None,
    "presentment_details": None,
    "receipt_number": None,
    "source_transfer_reversal": None,
    "status": "succeeded",
    "transfer_reversal": None,
}
"""What every new refund shows."""


def payment_record(invoice: Invoice) -> Record:
    """The invoice's payment, as Stripe shows it ("The Invoice Payment object")."""
    id, created = derived_id("inpay", invoice.id), invoice.finalized_at or invoice.created
    canceled = invoice.voided_at or invoice.uncollectible_at
    status = "paid" if invoice.status == "paid" else "canceled" if canceled else "open"
    content: Json = {
        "id": id,
        "object": "invoice_payment",
        "amount_paid": invoice.amount_paid if status == "paid" else None,
        "amount_requested": invoice.amount_due,
        "created": created,
        "currency": invoice.currency,
        "invoice": invoice.id,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent_id(invoice.id), "type": "payment_intent"},
        "status": status,
        "status_transitions": {"canceled_at": canceled, "paid_at": invoice.paid_at},
    }
    return Record(id, created, "invoice_payment", content)


def payment_intent_record(invoice: Invoice, payment_method: str | None) -> Record:
    """The payment intent of an invoice that was finalized."""
    paid = invoice.status == "paid"
    return _intent(
        payment_intent_id(invoice.id),
        invoice.finalized_at or invoice.created,
        {
            "amount": invoice.amount_due,
            "amount_received": invoice.amount_paid,
            "canceled_at": invoice.voided_at,
            "cancellation_reason": "void_invoice" if invoice.voided_at else None,
            "currency": invoice.currency,
            "customer": invoice.customer,
            "description": "Subscription update",
            "latest_charge": derived_id("ch", invoice.id) if paid else None,
            "payment_method": payment_method,
            "setup_future_usage": "off_session",
            "status": "succeeded" if paid else "canceled" if invoice.voided_at else "requires_payment_method",
        },
    )


def session_intent_record(session: CheckoutSession, charge: Charge | None) -> Record:
    """The payment intent of a one-time session that the buyer has completed; `charge`: once it is paid."""
    return _intent(
        payment_intent_id(session.id),
        session.created if charge is None else charge.created,
        {
            "amount": session.amount_total,
            "amount_received": 0 if charge is None else charge.amount,
            "currency": session.currency,
            "customer": session.customer,
            "latest_charge": None if charge is None else charge.id,
            "status": "processing" if charge is None else "succeeded",
        },
    )


def _intent(id: str, created: int, members: Json) -> Record:
    content: Json = {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{id}_secret_simulated",
        "confirmation_method": "automatic",
        "created": created,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "hooks": None,
        "last_payment_error": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_details": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_record": None,
        "presentment_details": None,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "transfer_data": None,
        "transfer_group": None,
    }
    return Record(id, created, "payment_intent", content | members)
