"""How far a subscription is paid: the lines of its paid invoices, kept by item and price.

    {item: {price: end}}

A line counts while its item exists with the line's price: Stripe keeps an item's id when its price changes
("Prorations"), and what was paid for a year is no longer paid for once the year is credited. Ends merge by
the greatest, so invoices and subscriptions may come in any order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ...stripe.invoice_lines import UNKNOWN, PaidLine, billed_until, paid_lines
from ...stripe.objects import Values

MAX_LINES = 100
Lines = dict[str, dict[str, int]]


class _Record(Protocol):
    @property
    def paid_lines(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_through(self) -> int | None: ...


def known_lines(record: _Record | None) -> Lines:
    """What is kept; of a record from before lines were kept, the moment alone, for whatever item."""
    if record is None:
        return {}
    if record.paid_lines is not None:
        return {item: dict(ends) for item, ends in record.paid_lines.items()}
    return {} if record.paid_through is None else {UNKNOWN: {UNKNOWN: record.paid_through}}


def explained(record: _Record, subscription_id: str, invoices: Sequence[Values]) -> Lines:
    """The lines of a record from before they were kept, with those of its stored paid invoices.

    The moment that the record had is given up once the invoices are known that it came from: then it follows
    from their lines.
    """
    known = known_lines(record)
    moment = known.get(UNKNOWN, {}).get(UNKNOWN)
    ends = (billed_until(invoice, subscription_id) for invoice in invoices)
    if moment is not None and max((end for end in ends if end is not None), default=-1) >= moment:
        del known[UNKNOWN][UNKNOWN]
    lines = (line for invoice in invoices for line in paid_lines(invoice))
    return with_lines(known, (line for line in lines if line.subscription_id == subscription_id))


def with_lines(known: Lines, lines: Iterable[PaidLine]) -> Lines:
    """The lines that are kept with those of an invoice."""
    for line in lines:
        ends = known.setdefault(line.item_id or UNKNOWN, {})
        price = line.price_id or UNKNOWN
        ends[price] = max(line.end, ends.get(price, line.end))
    if sum(map(len, known.values())) > MAX_LINES:
        every = sorted((end, item, price) for item, ends in known.items() for price, end in ends.items())
        for _, item, price in every[:-MAX_LINES]:
            del known[item][price]
    return {item: ends for item, ends in known.items() if ends}
