"""What the open invoices of a subscription say: whether one can be paid, and where."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .records import InvoiceRecord


class Owed(NamedTuple):
    """The open invoices of one subscription. Times are Unix seconds."""

    oldest_attempted: int | None = None
    """When the oldest of them was made on which a payment was attempted."""
    payable: bool = False
    """Whether any is open with something left to pay."""
    pay_url: str | None = None
    """Stripe's page for the latest of those: the latest one decides the subscription's status."""


NOTHING_OWED = Owed()


def owed_by_subscription(invoices: Iterable[InvoiceRecord]) -> dict[str, Owed]:
    """What is open, for each subscription that has an open invoice."""
    found: dict[str, list[InvoiceRecord]] = defaultdict(list)
    for invoice in invoices:
        if invoice.status == "open" and invoice.subscription_id is not None:
            found[invoice.subscription_id].append(invoice)
    return {subscription: _owed(each) for subscription, each in found.items()}


def _owed(invoices: Sequence[InvoiceRecord]) -> Owed:
    attempted = [each.created for each in invoices if each.attempt_count > 0 and each.created is not None]
    payable = [each for each in invoices if each.amount_remaining != 0]
    # An invoice on which a payment was attempted comes before one that waits for its first attempt.
    latest = sorted(payable, key=lambda each: (each.attempt_count > 0, each.created or 0), reverse=True)
    urls = (each.hosted_invoice_url for each in latest)
    return Owed(
        min(attempted, default=None),
        bool(payable),
        next((url for url in urls if url is not None and url.startswith("https://")), None),
    )
