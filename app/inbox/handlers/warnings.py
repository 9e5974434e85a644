"""Events that change no record: somebody should hear of them, with the user, customer and subscription."""

from ...signals import checkout_expired, checkout_payment_failed, fraud_warning
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, as_integer, as_text
from ..unit_of_work import Payer, UnitOfWork


def early_fraud_warning_created(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `fraud_warning`, with who paid: a warning names its charge alone, as a dispute does."""
    warning = event.object
    warning_id = as_id(warning.get("id"))
    payer = unit_of_work.payers.get(warning_id or "", Payer())
    unit_of_work.announce(
        fraud_warning,
        event,
        fact=warning_id or event.id,
        customer_id=payer.customer_id,
        subscription_id=payer.subscription_id,
        invoice_id=payer.invoice_id,
        warning_id=warning_id,
        charge_id=as_id(warning.get("charge")),
        fraud_type=as_text(warning.get("fraud_type")),
        actionable=warning.get("actionable") is True,
    )


def checkout_session_failed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `checkout_payment_failed`: a delayed payment, such as a bank debit, did not succeed."""
    _announce_checkout(event, unit_of_work, is_expired=False)


def checkout_session_expired(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Announces `checkout_expired`: nobody completed the session in time."""
    _announce_checkout(event, unit_of_work, is_expired=True)


def _announce_checkout(event: StripeEvent, unit_of_work: UnitOfWork, *, is_expired: bool) -> None:
    session = event.object
    session_id = as_id(session.get("id"))
    unit_of_work.announce(
        checkout_expired if is_expired else checkout_payment_failed,
        event,
        fact=session_id or event.id,
        customer_id=as_id(session.get("customer")),
        subscription_id=as_id(session.get("subscription")),
        session_id=session_id,
        client_reference_id=as_text(session.get("client_reference_id")),
        amount=as_integer(session.get("amount_total")),
        currency=as_text(session.get("currency")),
    )
