"""The columns of a subscription: what its snapshot says, seen with the catalogue and what is remembered."""

from collections.abc import Mapping
from typing import Any, Protocol

from ...db.models import Subscription
from ...plans import PriceList, held_items, main_item
from ...stripe.invoice_lines import paid_until
from ...stripe.objects import (
    Values,
    as_seconds,
    as_text,
    is_cut,
    pause_cause_of,
    subscription_items,
    subscription_values,
)
from ...stripe.ordering import Position, overlay_applies
from ...stripe.terms import ShownItems, period_of, term_values, with_periods
from .item_history import unseen_items
from .paid_through import known_lines
from .snapshots import current_position

Columns = tuple[Values, bool]
"""The columns by one snapshot; and whether Stripe's API would show more."""


class Memory(Protocol):
    """What a record remembers beyond its newest snapshot."""

    @property
    def item_history(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_lines(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_through(self) -> int | None: ...


def subscription_columns(content: Values, created: int, memory: Memory | None, prices: PriceList) -> Columns:
    """The columns by the snapshot of `created` (Unix seconds); and whether Stripe's API would show more.

    It would where the list of items was cut, or where the period of one had to be counted.

    Raises:
        MalformedEvent: when the customer or the status is missing.
    """
    return columns_of_items(items_shown(content), content, created, memory, prices)


def items_shown(content: Values) -> ShownItems:
    """The items that a snapshot shows, each with its period; and whether one of those had to be counted."""
    return with_periods(subscription_items(content), content)


def columns_of_items(
    shown: ShownItems, content: Values, created: int, memory: Memory | None, prices: PriceList
) -> Columns:
    """`subscription_columns` of a content whose items have been read (`items_shown`).

    Raises:
        MalformedEvent: when the customer or the status is missing.
    """
    items, counted = shown
    values = subscription_values(content)
    history = memory.item_history if memory is not None else None
    cut = is_cut(content.get("items"))
    values["items"] = [*items, *unseen_items(history, items, created)] if cut else items
    values |= _of_main_item(values, history, prices, content, created)
    values["paid_through"] = paid_until(values["items"], known_lines(memory))
    return values, counted or cut


def period_columns(
    shown: ShownItems, content: Values, created: int, memory: Memory, prices: PriceList
) -> Values:
    """Only the columns that say the period of a content, and what was bought for it."""
    items = shown[0]
    if is_cut(content.get("items")):
        items = [*items, *unseen_items(memory.item_history, items, created)]
    main = main_item(held_items(items, memory.item_history, prices))
    start, end = period_of(main, content)
    status = as_text(content.get("status"))
    return {
        "status": status,
        "pause_cause": pause_cause_of(content, status),
        "items": items,
        "billing_cycle_anchor": as_seconds(content.get("billing_cycle_anchor")),
        "current_period_start": start,
        "current_period_end": end,
    }


def derived_again(row: Subscription, prices: PriceList) -> Values:
    """The columns that depend on what is remembered, once more is."""
    period = {name: row.__dict__[name] for name in ("current_period_start", "current_period_end")}
    created, items = row.snapshot_created or 0, row.items
    if (row.item_history or {}).get("cut"):
        shown = [item for item in items if not item.get("unseen")]
        items = [*shown, *unseen_items(row.item_history, shown, created)]
    values = row.__dict__ | {"items": items}
    derived = _of_main_item(values, row.item_history, prices, period, created) | {"items": items}
    derived["paid_through"] = paid_until(items, known_lines(row))
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
    return dict(overlay["values"]) if overlay is not None and overlay_applies(overlay, place) else {}
