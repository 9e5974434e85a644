"""Prorations: the time that is left of a period, credited at the old price and charged at the new one.

"Prorations": by the second, of each item that a change touches. An item whose interval changes begins a new
period at once, which is charged whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from .model import Item, Line, Price, Subscription

NewId = Callable[[str], str]


def prorated(subscription: Subscription, items: Sequence[Item], now: int, new_id: NewId) -> list[Line]:
    """The lines of a change to `items` at `now` (Unix seconds); none while the subscription is trialing.

    `items` as `restarted` gives them: where a period restarts, what is charged for it is no proration.
    """
    restarts = resets_cycle(items, subscription.items)
    if subscription.status == "trialing" or subscription.ended_at is not None:
        return []
    before: Mapping[str, Item] = {item.id: item for item in subscription.items}
    after: Mapping[str, Item] = {item.id: item for item in items}
    lines = []
    for id in [*before, *(id for id in after if id not in before)]:
        old, new = before.get(id), after.get(id)
        if old is not None and new is not None and _same(old, new):
            continue
        if old is not None:
            lines.append(_line(new_id("il"), subscription.id, old, now, sign=-1))
        if new is not None:
            lines.append(_line(new_id("il"), subscription.id, new, now, sign=1, proration=not restarts))
    return lines


def restarted(items: Sequence[Item], before: Sequence[Item], now: int) -> list[Item]:
    """The items, those of a new interval with a period that begins at `now` (Unix seconds).

    All items of a subscription have one interval: where one restarts, all do.
    """
    if not resets_cycle(items, before):
        return list(items)
    return [
        replace(item, current_period_start=now, current_period_end=now + item.price.seconds) for item in items
    ]


def resets_cycle(items: Sequence[Item], before: Sequence[Item]) -> bool:
    """Whether all items have another interval than before; with several intervals each period goes on."""
    old, new = ({_interval(item.price) for item in each} for each in (before, items))
    return len(old) == len(new) == 1 and old != new


def _interval(price: Price) -> tuple[str, int]:
    return price.interval, price.interval_count


def _same(old: Item, new: Item) -> bool:
    return (old.price.id, old.quantity, old.current_period_start) == (
        new.price.id,
        new.quantity,
        new.current_period_start,
    )


def _line(id: str, subscription: str, item: Item, now: int, *, sign: int, proration: bool = True) -> Line:
    whole = item.current_period_end - item.current_period_start
    left = max(0, item.current_period_end - now)
    amount = sign * round(item.price.unit_amount * item.quantity * left / whole)
    verb = "Remaining time on" if sign > 0 else "Unused time on"
    return Line(
        id,
        subscription,
        item.id,
        item.price,
        item.quantity,
        now,
        item.current_period_end,
        proration=proration,
        own_amount=amount,
        description=f"{verb} {item.quantity} × {item.price.product}",
    )
