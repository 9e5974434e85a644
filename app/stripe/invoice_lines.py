"""The lines of an invoice that pay for a time, and the charges that failed, in every API shape."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .objects import Values, as_dict, as_id, as_integer, as_seconds, line_subscription, list_of

UNKNOWN = ""
"""For an item or a price that a line does not name."""


class PaidLine(NamedTuple):
    """A line of a paid invoice: until when (Unix seconds) it pays an item of a subscription with a price."""

    subscription_id: str
    item_id: str | None
    price_id: str | None
    end: int


def paid_lines(invoice: Values) -> list[PaidLine]:
    """The lines that pay for a time: neither prorations nor credits ("Prorations")."""
    lines = (_paid_line(line) for line in list_of(invoice.get("lines")) if not _is_proration(line))
    return [line for line in lines if line is not None]


def billed_until(invoice: Values, subscription_id: str) -> int | None:
    """The greatest end over all lines that bill for the subscription, credits included. Unix seconds."""
    lines = [line for line in list_of(invoice.get("lines")) if line_subscription(line) == subscription_id]
    ends = (as_seconds(as_dict(line.get("period")).get("end")) for line in lines)
    return max((end for end in ends if end is not None), default=None)


def failed_at(invoice: Values) -> int | None:
    """When the first charge for the invoice failed, as far as its payment intent shows its charges (before
    2022-11-15, and where they were fetched). Unix seconds."""
    charges = list_of(as_dict(invoice.get("payment_intent")).get("charges"))
    failed = (as_seconds(each.get("created")) for each in charges if each.get("status") == "failed")
    return min((at for at in failed if at is not None), default=None)


def _paid_line(line: Values) -> PaidLine | None:
    subscription = line_subscription(line)
    end = as_seconds(as_dict(line.get("period")).get("end"))
    amount = as_integer(line.get("amount"))
    if subscription is None or end is None or (amount is not None and amount < 0):
        return None
    item = as_dict(as_dict(line.get("parent")).get("subscription_item_details")).get("subscription_item")
    price = as_dict(as_dict(line.get("pricing")).get("price_details")).get("price")
    return PaidLine(
        subscription,
        as_id(item) or as_id(line.get("subscription_item")),
        as_id(price) or as_id(line.get("price")) or as_id(line.get("plan")),
        end,
    )


def _is_proration(line: Values) -> bool:
    details = as_dict(as_dict(line.get("parent")).get("subscription_item_details"))
    return details.get("proration") is True or line.get("proration") is True


def paid_until(
    items: Sequence[Mapping[str, Any]] | None, lines: Mapping[str, Mapping[str, int]]
) -> int | None:
    """The greatest end among the lines whose item exists with their price, in Unix seconds.

    All of them count while no snapshot has shown any item (`items` None).
    """
    ends = [
        end
        for item, by_price in lines.items()
        for price, end in by_price.items()
        if items is None or item == price == UNKNOWN or any(_is_of(each, item, price) for each in items)
    ]
    return max(ends, default=None)


def _is_of(item: Mapping[str, Any], item_id: str, price_id: str) -> bool:
    own = item.get("item_id") or UNKNOWN
    return (UNKNOWN in (own, item_id) or own == item_id) and price_id in (UNKNOWN, item.get("price_id"))
