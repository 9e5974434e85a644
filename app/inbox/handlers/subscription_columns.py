"""The columns of a subscription: what its snapshot says, seen with the catalogue and what is remembered."""

from collections.abc import Mapping
from typing import Any, Protocol

from ...db.models import Subscription
from ...plans import PriceList, held_items, main_item
from ...stripe.objects import Values, subscription_values
from ...stripe.ordering import Position, lies_over
from ...stripe.terms import term_values, with_periods
from .paid_through import known_lines, paid_until
from .snapshots import current_position


class Memory(Protocol):
    """What a record remembers beyond its newest snapshot."""

    @property
    def item_history(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_lines(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_through(self) -> int | None: ...


def subscription_columns(
    content: Values, created: int, memory: Memory | None, prices: PriceList
) -> tuple[Values, bool]:
    """The columns by the snapshot of `created` (Unix seconds); and whether a period had to be counted.

    Raises:
        MalformedEvent: when the customer or the status is missing.
    """
    values = subscription_values(content)
    values["items"], counted = with_periods(values["items"], content)
    history = memory.item_history if memory is not None else None
    values |= _of_main_item(values, history, prices, content, created)
    values["paid_through"] = paid_until(values["items"], known_lines(memory))
    return values, counted


def derived_again(row: Subscription, prices: PriceList) -> Values:
    """The columns that depend on what is remembered, once more is."""
    period = {name: row.__dict__[name] for name in ("current_period_start", "current_period_end")}
    created = row.snapshot_created or 0
    derived = _of_main_item(row.__dict__, row.item_history, prices, period, created)
    derived["paid_through"] = paid_until(row.items, known_lines(row))
    return derived | overlay_values(row.overlay, current_position(row))


def _of_main_item(
    values: Values, history: Mapping[str, Any] | None, prices: PriceList, content: Values, created: int
) -> Values:
    """Plan, quantity and term are of the main item."""
    main = main_item(held_items(values["items"], history, prices))
    own = {"plan_id": main.price_id if main else None, "quantity": main.quantity if main else None}
    return own | term_values(values, main, content, created)


def overlay_values(overlay: Values | None, place: Position | None) -> Values:
    """What the last internal update lays over the snapshot at `place`."""
    return dict(overlay["values"]) if overlay is not None and lies_over(overlay, place) else {}
