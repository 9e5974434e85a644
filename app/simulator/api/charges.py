"""Charges, refunds, disputes, payment intents and invoice payments: what was taken, and taken back."""

from typing import Any

from ..ids import derived_id
from ..model import Charge, Dispute, Invoice, Record
from ..payments import payment_intent_id, payment_record
from ..shapes import Json
from . import forms
from .call import Call, Found
from .errors import invalid, missing
from .expansion import answer
from .index import Index
from .listing import Selection, page
from .payments import by_charge, by_intent, charge_of, intent_of
from .resources import Resource
from .typed import typed


def _charges(call: Call) -> dict[str, Charge]:
    account = call.account
    return {id: charge_of(account, paid) for id, paid in by_charge(account).items()}


def get_charge(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    return answer(call, call.find("charge", _charges(call)))


def list_charges(call: Call) -> Json:
    filters = ("customer", "payment_intent")
    customer, intent = (forms.text(call.params, name) for name in filters)
    charges: dict[str, Charge] = {
        id: charge
        for id, charge in _charges(call).items()
        if customer in (None, charge.customer) and intent in (None, payment_intent_id(charge.invoice))
    }
    return _list(call, "charge", charges, filters)


def get_dispute(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    return answer(call, call.find("dispute", call.account.disputes))


def list_disputes(call: Call) -> Json:
    filters = ("charge", "payment_intent")
    charge, intent = (forms.text(call.params, name) for name in filters)
    disputes: dict[str, Dispute] = {
        id: dispute
        for id, dispute in call.account.disputes.items()
        if charge in (None, dispute.charge) and intent in (None, dispute.payment_intent)
    }
    return _list(call, "dispute", disputes, filters)


def get_payment_intent(call: Call) -> Json:
    forms.known(call.params, ("expand", "client_secret"))
    return answer(call, call.find("payment_intent", _payment_intents(call)))


def list_payment_intents(call: Call) -> Json:
    customer = forms.text(call.params, "customer")
    intents: dict[str, Record] = {
        id: intent
        for id, intent in _payment_intents(call).items()
        if customer in (None, intent.content["customer"])
    }
    return _list(call, "payment_intent", intents, ("customer",))


def _payment_intents(call: Call) -> dict[str, Record]:
    account = call.account
    return {id: intent_of(account, paid) for id, paid in by_intent(account).items()}


def _finalized(call: Call) -> list[Invoice]:
    return [one for one in call.account.invoices.values() if one.finalized_at is not None]


def get_invoice_payment(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    return answer(call, call.find("invoice_payment", _invoice_payments(call)))


def list_invoice_payments(call: Call) -> Json:
    """Filtered by invoice, by status, and by the payment intent that paid."""
    invoice, status = forms.text(call.params, "invoice"), forms.text(call.params, "status")
    payment = forms.hashed(call.params, "payment")
    forms.known(payment, ("type", "payment_intent"), "payment")
    intent = forms.text(payment, "payment_intent")
    payments: dict[str, Record] = {
        id: one
        for id, one in _invoice_payments(call).items()
        if invoice in (None, one.content["invoice"])
        and status in (None, one.content["status"])
        and intent in (None, one.content["payment"]["payment_intent"])
    }
    return _list(call, "invoice_payment", payments, ("invoice", "status", "payment"))


def _invoice_payments(call: Call) -> dict[str, Record]:
    records = [payment_record(invoice) for invoice in _finalized(call)]
    return {record.id: record for record in records}


def _list(call: Call, noun: str, table: Any, filters: tuple[str, ...]) -> Json:
    index = Index()
    found: list[Found] = sorted(table.values(), key=lambda one: one.created)
    for one in found:
        index.put(one.id, one.created, {})
    return page(call, noun, Selection(index), table.__getitem__, filters)


# Refunds


REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create_refund(call: Call) -> Json:
    """Refund a charge, or that of a payment intent: what is left of it, or `amount` of that.

    Raises:
        ApiError: 400 for what Stripe refuses.
    """
    params = typed(call, REFUNDS.created)
    charge, amount = _refunded(call, params), forms.integer(call.params, "amount")
    left, reason = charge.amount - charge.amount_refunded, params.get("reason")
    if reason not in (None, *REASONS):
        raise invalid(f"Invalid reason: must be one of {', '.join(REASONS)}", "reason")
    if left == 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", None, "charge_already_refunded")
    if amount is not None and amount < 1:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    if amount is not None and amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount"
        )
    metadata = forms.merged_metadata(call.params, {})
    return answer(call, call.account.refund_charge(charge, amount, reason=reason, metadata=metadata))


def _refunded(call: Call, params: Json) -> Charge:
    """The charge that a refund is of."""
    charge, intent = params.get("charge"), params.get("payment_intent")
    if charge is not None and intent is not None:
        raise invalid("Received both charge and payment_intent parameters. Please pass in only one.")
    if intent is None:
        if charge is None:
            raise missing("charge")
        return call.find("charge", _charges(call), charge, "charge")
    paid = call.find("payment_intent", by_intent(call.account), intent, "payment_intent")
    found = _charges(call).get(derived_id("ch", paid.id))
    if found is None:
        raise invalid(f"This PaymentIntent ({intent}) does not have a successful charge to refund.")
    return found


REFUNDS = Resource(
    "refund",
    "refund",
    "re",
    {},
    ("charge", "payment_intent", "amount", "reason", "metadata"),
    ("metadata",),
    filters=("charge", "payment_intent"),
    event="refund",
)


# Credit notes


def _credit_note(call: Call, params: Json) -> Json:
    if params.get("invoice") is None:
        raise missing("invoice")
    invoice = call.find("invoice", call.account.invoices, params["invoice"], "invoice")
    if invoice.status not in ("open", "paid"):
        raise invalid("You can only create a credit note for an open or paid invoice.", "invoice")
    amount = int(params.get("amount") or 0)
    if not 0 < amount <= invoice.total:
        raise invalid("The amount of a credit note is positive and at most the invoice's total.", "amount")
    open_part = amount if invoice.status == "open" else 0
    return {
        "amount": amount,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "effective_at": call.account.now,
        "invoice": invoice.id,
        "lines": {"object": "list", "data": [], "has_more": False, "url": ""},
        "memo": params.get("memo"),
        "metadata": dict(params.get("metadata") or {}),
        "number": f"{invoice.number}-CN-01",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "post_payment_amount": amount - open_part,
        "pre_payment_amount": open_part,
        "reason": params.get("reason"),
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "type": "pre_payment" if open_part else "post_payment",
    }


CREDIT_NOTES = Resource(
    "credit note",
    "credit_note",
    "cn",
    {
        "amount_shipping": 0,
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "pdf": "https://pay.stripe.test/credit_note/pdf",
        "pretax_credit_amounts": [],
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "total_taxes": [],
        "voided_at": None,
    },
    (
        "invoice",
        "amount",
        "memo",
        "metadata",
        "reason",
        "out_of_band_amount",
        "credit_amount",
        "refund_amount",
    ),
    ("memo", "metadata"),
    filters=("customer", "invoice"),
    event="credit_note",
    fill=_credit_note,
)


def void_credit_note(call: Call) -> Json:
    typed(call, ())
    record = CREDIT_NOTES.found(call)
    if record.content["status"] == "void":
        raise invalid("This credit note is already void.")
    call.account.change_record(record, {"status": "void", "voided_at": call.account.now})
    call.account.announce("credit_note.voided", record)
    return answer(call, record)


FRAUD_WARNINGS = Resource(
    "early fraud warning",
    "radar.early_fraud_warning",
    "issfr",
    {},
    (),
    filters=("charge", "payment_intent"),
)
