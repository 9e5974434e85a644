"""Plan, quantity and term of a subscription whose main item is another one than when its record was written.

The catalogue may have changed since, or a price's lookup key was seen later than the subscription. What the
record says is of the main item that it then had. A row that was not reapplied yet keeps its answer.
"""

from typing import Any, cast

from ..db.models import follows_rules
from ..plans import HeldItem, PriceList, held_items, main_item
from ..stripe.objects import ENDED
from ..stripe.terms import term_values
from .records import SubscriptionRecord, is_overlaid


def main_item_values(record: SubscriptionRecord, prices: PriceList) -> dict[str, Any]:
    """The columns of a record that today's main item gives in another way; empty where they are right."""
    main = main_item(held_items(record.items, record.item_history, prices))
    return _values(record, main)


def by_main_item(record: SubscriptionRecord, main: HeldItem | None) -> SubscriptionRecord:
    """The record with what its main item says now."""
    return with_values(record, _values(record, main))


def with_values(record: SubscriptionRecord, values: dict[str, Any]) -> SubscriptionRecord:
    """The record with these columns changed; the stored row stays as it is."""
    return cast(SubscriptionRecord, _Changed(record, values)) if values else record


def _values(record: SubscriptionRecord, main: HeldItem | None) -> dict[str, Any]:
    if main is None or main.period_end is None or main.price_id == record.plan_id:
        return {}
    if record.status is None or record.status in ENDED or is_overlaid(record) or not follows_rules(record):
        return {}
    known = {
        "status": record.status,
        "cancel_at": record.cancel_at,
        "cancel_at_period_end": record.cancel_at_period_end,
        "items": record.items,
    }
    term = term_values(known, main, {}, record.snapshot_created or 0)
    return {"plan_id": main.price_id, "quantity": main.quantity} | term


class _Changed:
    """A record with other values for some columns."""

    def __init__(self, record: SubscriptionRecord, values: dict[str, Any]) -> None:
        self._record = record
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)
