"""What each item of a subscription gives, and which is the main one, in whatever order Stripe lists them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from .catalogue import Addon, Ignored, Offer, Plan
from .prices import PriceList

Values = Mapping[str, Any]

INTERVAL_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
"""About how long an interval is: for comparing intervals, not for counting time."""


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item of a subscription, and what it gives. Times are Unix seconds."""

    item_id: str
    price_id: str | None
    offer: Offer | None
    quantity: int | None = None
    metered: bool = False
    unmapped: bool = False
    """Nothing in the catalogue lists the price: `offer` is what the payer had before it, if anything."""
    kept_quantity: int | None = None
    """The quantity that `offer` had, where an unmapped price has taken its place."""
    interval_days: int = 0
    period_start: int | None = None
    period_end: int | None = None

    def with_quantity(self, quantity: int) -> "HeldItem":
        """The same item, so many of it."""
        return replace(self, quantity=quantity)

    @property
    def units(self) -> int:
        """What a limit per unit is multiplied by: no quantity, as with metered prices, counts as 1."""
        known = [max(each, 0) for each in (self.quantity, self.kept_quantity) if each is not None]
        return max(known, default=1)

    @property
    def plan(self) -> Plan | None:
        return self.offer if isinstance(self.offer, Plan) else None

    @property
    def rank(self) -> tuple[int, bool, int, int, str]:
        """The greatest is the main item: the highest plan; then licensed, long interval, quantity, id."""
        return (self._standing, not self.metered, self.interval_days, self.quantity or 0, self.item_id)

    @property
    def _standing(self) -> int:
        if self.plan is not None:
            return self.plan.position
        if self.unmapped and self.offer is None:
            return -1
        return -2 if isinstance(self.offer, Addon) else -3


def main_item(held: Iterable[HeldItem]) -> HeldItem | None:
    """The item that plan, quantity and term of a subscription come from; None where there is no item."""
    return max(held, key=lambda each: each.rank, default=None)


def held_items(items: Sequence[Values], history: Values | None, prices: PriceList) -> tuple[HeldItem, ...]:
    """What the items of a subscription give, in one order.

    `history` is what is remembered of the subscription's items: `item_history` of its record. An unmapped
    price never lowers what the payer has: where an item's price was mapped before, or the item replaced one
    of a mapped price in the same event, that plan or add-on stays.
    """
    memory = _Memory(history or {}, prices)
    found = [each for item in sorted(items, key=_item_id) for each in _held(item, memory)]
    return tuple(sorted(found, key=lambda each: each.rank, reverse=True))


def price_ids(items: Iterable[Values], history: Values | None, plan_id: str | None = None) -> set[str]:
    """Every price that what a subscription gives may depend on; `plan_id` is that of its record."""
    seen = (history or {}).get("prices") or {}
    found = {item.get("price_id") for item in items} | {price for prices in seen.values() for price in prices}
    return {price for price in {*found, plan_id} if price}


def _held(item: Values, memory: "_Memory") -> Iterator[HeldItem]:
    price_id, product_id = item.get("price_id"), item.get("product_id")
    owner = memory.prices.owner(price_id, product_id)
    unmapped = price_id is not None and owner is None
    made = HeldItem(
        item_id=_item_id(item),
        price_id=price_id,
        offer=None if isinstance(owner, Ignored) else owner,
        quantity=item.get("quantity"),
        metered=bool(item.get("metered")),
        unmapped=unmapped,
        interval_days=INTERVAL_DAYS.get(item.get("interval") or "", 0) * (item.get("interval_count") or 1),
        period_start=item.get("current_period_start"),
        period_end=item.get("current_period_end"),
    )
    kept = memory.kept(made.item_id, licensed=not made.metered) if unmapped else []
    if not kept:
        yield made
    for offer, quantity in kept:
        yield _keeping(made, offer, quantity)


def _keeping(item: HeldItem, offer: Offer, quantity: int | None) -> HeldItem:
    return HeldItem(
        item_id=item.item_id,
        price_id=item.price_id,
        offer=offer,
        quantity=item.quantity,
        metered=item.metered,
        unmapped=True,
        kept_quantity=quantity,
        interval_days=item.interval_days,
        period_start=item.period_start,
        period_end=item.period_end,
    )


class _Memory:
    """What the items had before, each earlier item counted once."""

    def __init__(self, history: Values, prices: PriceList) -> None:
        self.prices = prices
        self._seen: Values = history.get("prices") or {}
        self._replaced: Values = history.get("replaced") or {}
        self._counted: set[str] = set()

    def kept(self, item_id: str, *, licensed: bool) -> list[tuple[Offer, int | None]]:
        """What the item gave, or else those that it replaced, with the quantities of then."""
        if item_id in self._counted:
            return []
        self._counted.add(item_id)
        if (own := self._last_offer(item_id)) is not None:
            return [own]
        entry = self._replaced.get(item_id)
        if entry is None or not licensed or any(self._is_plan(each) for each in entry["beside"]):
            return []
        return [each for earlier in entry["removed"] for each in self.kept(earlier, licensed=True)]

    def _last_offer(self, item_id: str) -> tuple[Offer, int | None] | None:
        """The newest mapped price that the item was seen with."""
        found = []
        for price_id, (created, part, quantity, product_id, _) in (self._seen.get(item_id) or {}).items():
            offer = self.prices.offer(price_id, product_id)
            if offer is not None:
                rank = offer.position if isinstance(offer, Plan) else -1
                found.append((created, part, rank, price_id, offer, quantity))
        if not found:
            return None
        *_, offer, quantity = max(found, key=lambda each: each[:4])
        return offer, quantity

    def _is_plan(self, item_id: str) -> bool:
        last = self._last_offer(item_id)
        return last is not None and isinstance(last[0], Plan)


def _item_id(item: Values) -> str:
    return item.get("item_id") or ""
