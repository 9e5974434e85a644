"""What changes an invoice from outside: payments and credit notes. They name it, and not what is left to pay.

The invoice is fetched again where there is a key; without one, its own `invoice.updated` says the same.
"""

from ...db.models import Invoice
from ...stripe.events import StripeEvent
from ...stripe.objects import as_dict, as_id
from ..unit_of_work import UnitOfWork
from .invoice import with_payment


def invoice_payment_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Notes which payment is the invoice's, and has the invoice fetched again.

    Since 2025-03-31.basil an invoice shows its payments only where they are expanded ("The Invoice Payment
    object").
    """
    if (invoice := _invoice_to_fetch(event, unit_of_work)) is not None:
        payment = as_dict(event.object.get("payment"))
        with_payment(
            unit_of_work, invoice, as_id(payment.get("payment_intent")) or as_id(payment.get("charge"))
        )


def credit_note_changed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Has the invoice fetched again: a credit note lowers what remains of an open one ("Credit notes")."""
    _invoice_to_fetch(event, unit_of_work)


def _invoice_to_fetch(event: StripeEvent, unit_of_work: UnitOfWork) -> Invoice | None:
    invoice_id = as_id(event.object.get("invoice"))
    if invoice_id is None:
        return None
    invoice = unit_of_work.find(Invoice, invoice_id)
    if invoice is None:
        return unit_of_work.add(Invoice, invoice_id, needs_refresh=True)
    # Nothing changes an invoice that is final, and its fetched state is complete.
    if invoice.status not in ("void", "deleted"):
        unit_of_work.change(invoice, needs_refresh=True)
    return invoice
