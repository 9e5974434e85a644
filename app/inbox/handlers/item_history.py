"""What a subscription remembers of its items: which prices each was seen with, and which items it replaced.

    {"prices": {item: {price: [created, part, quantity, product]}},
     "replaced": {item: {"removed": [item, …], "beside": [item, …], "read": bool}}}

`created` is in Unix seconds, `part` 1 for what an event's object says and 0 for what it was before the event
(`previous_attributes`). Everything merges by the greatest, or by union: a function of the set of events. What
was read from Stripe's API says no step; it is compared with the record (`read`), until an event says more.
"""

from collections.abc import Iterable
from typing import Any

from ...stripe.events import StripeEvent
from ...stripe.objects import Values, is_cut, subscription_items
from ...stripe.ordering import put_back

MAX_SIGHTINGS = 100
"""Of so many items and prices the newest are kept: Stripe allows 20 items on a subscription."""
OF_ITEMS = frozenset({"items", "plan", "quantity"})

Sighting = list[Any]
_NOTHING: Values = {"removed": (), "beside": ()}


def remembered(history: Values | None, event: StripeEvent, known: Iterable[Values] | None = None) -> Values:
    """The history with what this event shows; `known` are the record's items, for what was fetched."""
    prices = {item: dict(seen) for item, seen in ((history or {}).get("prices") or {}).items()}
    replaced = dict((history or {}).get("replaced") or {})
    after = subscription_items(event.object)
    before = _items_before(event)
    _see(prices, after, event.created, 1)
    if before is not None:
        _see(prices, before, event.created, 0)
    cut = is_cut(event.object.get("items")) or is_cut((event.previous_attributes or {}).get("items"))
    if before is not None and not cut:
        _link(replaced, _ids(before), _ids(after), read=False)
    elif known is not None and not cut:
        _link(replaced, _ids(known), _ids(after), read=True)
    return {"prices": _newest(prices), "replaced": replaced}


def _items_before(event: StripeEvent) -> list[Values] | None:
    """The items before the event; None where it does not say that they changed."""
    previous = event.previous_attributes
    if not previous or OF_ITEMS.isdisjoint(previous):
        return None
    return subscription_items(put_back(event.object, previous))


def _see(prices: dict[str, dict[str, Sighting]], items: Iterable[Values], created: int, part: int) -> None:
    for item in items:
        if (price := item["price_id"]) is not None:
            seen = prices.setdefault(item["item_id"] or "", {})
            sighting = [created, part, item["quantity"], item["product_id"]]
            seen[price] = max(seen.get(price, sighting), sighting, key=_age)


def _age(sighting: Sighting) -> tuple[int, int, int, str]:
    created, part, quantity, product = sighting
    return created, part, -1 if quantity is None else quantity, product or ""


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
