"""What has payments: invoices, and checkout sessions that sell something once."""

from collections.abc import Iterator
from itertools import chain

from ..account import Account
from ..ids import derived_id
from ..model import Charge, CheckoutSession, Invoice, Record
from ..payments import payment_intent_id, payment_intent_record, session_intent_record

Paid = Invoice | CheckoutSession


def by_intent(account: Account) -> dict[str, Paid]:
    """What has a payment intent, by its id."""
    return {payment_intent_id(one.id): one for one in _all(account) if _has_intent(one)}


def by_charge(account: Account) -> dict[str, Paid]:
    """What was paid by a charge, by its id."""
    return {derived_id("ch", one.id): one for one in _all(account) if _is_charged(one)}


def charge_of(account: Account, paid: Paid) -> Charge:
    return account.charge(paid) if isinstance(paid, Invoice) else account.charge_of_session(paid)


def intent_of(account: Account, paid: Paid) -> Record:
    if isinstance(paid, Invoice):
        return payment_intent_record(paid, paid.default_payment_method)
    return session_intent_record(paid, charge_of(account, paid) if _is_charged(paid) else None)


def _all(account: Account) -> Iterator[Paid]:
    return chain(account.invoices.values(), account.sessions.values())


def _has_intent(paid: Paid) -> bool:
    return paid.finalized_at is not None if isinstance(paid, Invoice) else paid.payment_intent is not None


def _is_charged(paid: Paid) -> bool:
    if isinstance(paid, Invoice):
        return paid.status == "paid" and paid.amount_paid > 0
    return paid.payment_intent is not None and paid.payment_status == "paid"
