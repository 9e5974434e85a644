"""What a subscription remembers of its items: which prices each was seen with, and which items it replaced.

    {"prices": {item: {price: [created, part, quantity, product, metered]}},
     "replaced": {item: {"removed": [item, …], "beside": [item, …], "read": bool}},
     "complete_at": created, "cut": true}

`created` is in Unix seconds, `part` 1 for what an event's object says and 0 for what it was before the event
(`previous_attributes`). Everything merges by the greatest, or by union: a function of the set of events. What
was fetched from Stripe's API says no step; it is compared with the record (`read`), until an event says more.

`complete_at` is the newest snapshot with a whole list of items. While the record's own snapshot shows no more
than the first ones (`cut`), every item that was seen since then, and that it does not show, still counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...stripe.events import StripeEvent
from ...stripe.objects import Values, as_item, is_cut
from ...stripe.steps import put_back

MAX_SIGHTINGS = 100
"""Of so many items and prices the newest are kept: Stripe allows 20 items on a subscription."""
OF_ITEMS = frozenset({"items", "plan", "quantity"})
OF_PERIODS = frozenset({"status", "current_period_start", "billing_cycle_anchor"})

Sighting = list[Any]
_NOTHING: Values = {"removed": (), "beside": ()}


def content_before(event: StripeEvent) -> Values | None:
    """The object before the event; None where the event shows no change of items or period."""
    previous = event.previous_attributes
    if not previous or (OF_ITEMS.isdisjoint(previous) and OF_PERIODS.isdisjoint(previous)):
        return None
    return put_back(event.object, previous)


def remembered(
    history: Values | None,
    event: StripeEvent,
    after: Sequence[Values],
    before: Sequence[Values] | None,
    known: Sequence[Values] | None = None,
) -> Values:
    """The history with what this event shows: the items after it, and before it where it shows those.
    `known` are the record's items, for what was fetched."""
    memory = history or {}
    prices = {item: dict(seen) for item, seen in (memory.get("prices") or {}).items()}
    replaced = dict(memory.get("replaced") or {})
    complete_at = memory.get("complete_at")
    if not is_cut(event.object.get("items")):
        complete_at = max(event.created, complete_at or 0)
    _see(prices, after, event.created, 1)
    if before is not None:
        _see(prices, before, event.created, 0)
    cut = is_cut(event.object.get("items")) or is_cut((event.previous_attributes or {}).get("items"))
    if before is not None and not cut:
        _link(replaced, _ids(before), _ids(after), read=False)
    elif known is not None and not cut:
        _link(replaced, _ids(known), _ids(after), read=True)
    return memory | {"prices": _newest(prices), "replaced": replaced, "complete_at": complete_at}


def history_of(items: Iterable[Values], created: int | None) -> Values | None:
    """What a record of before says that remembers nothing: its items, as of its snapshot (Unix seconds)."""
    prices: dict[str, dict[str, Sighting]] = {}
    _see(prices, items, created or 0, 1)
    return {"prices": prices, "complete_at": created or 0} if prices else None


def unseen_items(history: Mapping[str, Any] | None, shown: Iterable[Values], created: int) -> list[Values]:
    """The items that a cut list of `created` (Unix seconds) may hold beyond those that it shows."""
    memory = history or {}
    here, since = _ids(shown), (memory.get("complete_at") or 0, 1)
    latest = {
        item: max((tuple(seen[:2]), price) for price, seen in found.items())
        for item, found in (memory.get("prices") or {}).items()
        if item not in here
    }
    return [
        _remembered_item(item, price, memory["prices"][item][price])
        for item, (moment, price) in sorted(latest.items())
        if since <= moment <= (created, 1)
    ]


def _remembered_item(item: str, price: str, sighting: Sighting) -> Values:
    _, _, quantity, product, metered = sighting
    known = {"item_id": item, "price_id": price, "product_id": product, "quantity": quantity}
    return as_item(known, metered=metered) | {"unseen": True}


def cut_values(history: Values | None, content: Values) -> Values:
    """The column that says whether the snapshot which the record holds shows all of its items."""
    known = {name: value for name, value in (history or {}).items() if name != "cut"}
    return {"item_history": known | {"cut": True} if is_cut(content.get("items")) else known}


def _see(prices: dict[str, dict[str, Sighting]], items: Iterable[Values], created: int, part: int) -> None:
    for item in items:
        if (price := item.get("price_id")) is not None:
            seen = prices.setdefault(item.get("item_id") or "", {})
            metered = item.get("metered", False)
            sighting = [created, part, item.get("quantity"), item.get("product_id"), metered]
            seen[price] = max(seen.get(price, sighting), sighting, key=_age)


def _age(sighting: Sighting) -> tuple[int, int, int, str, bool]:
    created, part, quantity, product, metered = sighting
    return created, part, -1 if quantity is None else quantity, product or "", metered


def _link(replaced: Values, before: set[str], after: set[str], *, read: bool) -> None:
    """Which items took the place of which: those that came and those that went in one step."""
    removed, added = before - after, after - before
    for item in added:
        known = replaced.pop(item, None)
        if known is not None and read and not known["read"]:
            replaced[item] = known  # an event has said it
            continue
        same = known if known is not None and known["read"] == read else _NOTHING
        if gone := removed.union(same["removed"]):
            beside = (added - {item}).union(same["beside"])
            replaced[item] = {"removed": sorted(gone), "beside": sorted(beside), "read": read}


def _ids(items: Iterable[Values]) -> set[str]:
    return {item["item_id"] for item in items if item.get("item_id")}


def _newest(prices: dict[str, dict[str, Sighting]]) -> dict[str, dict[str, Sighting]]:
    """The newest sightings; which they are does not depend on the order in which they came."""
    if sum(map(len, prices.values())) <= MAX_SIGHTINGS:
        return prices
    every = [(_age(seen), item, price) for item, found in prices.items() for price, seen in found.items()]
    kept: dict[str, dict[str, Sighting]] = {}
    for _, item, price in sorted(every)[-MAX_SIGHTINGS:]:
        kept.setdefault(item, {})[price] = prices[item][price]
    return kept
