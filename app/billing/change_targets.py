"""What a change of a subscription leads to: its items afterwards, and whether that is more or less.

One rule says which it is (`direction`): the plan's rank in the plans file decides, then the quantity, then
the length of the interval, then the add-ons.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import Conflict, InvalidRequest, NotFound
from ..plans import Addon, HeldItem, Offer, Plan
from ..plans.items import INTERVAL_DAYS
from ..service import Service
from ..stripe.client import StripeApi
from ..stripe.objects import Values
from .price_choice import check_is_sold, plan_of_price, price_like, price_shape
from .quantities import check_quantity, quantity_for
from .stripe_changes import Current

Direction = Literal["upgrade", "downgrade", "none"]
INTERVAL = re.compile(r"(?:(?P<count>[1-9][0-9]{0,2}) )?(?P<interval>day|week|month|year)s?")


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for; what is not given stays. `addons`: the quantity by the add-on's id, 0 for none."""

    plan: str | None = None
    price_id: str | None = None
    interval: str | None = None
    """`month`, `year`, `3 months`: how long each period is to be."""
    quantity: int | None = None
    addons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetItem:
    """An item as it is to be: `held` says what it gives then. Without an `item_id` it is new."""

    held: HeldItem
    before: HeldItem | None

    @property
    def params(self) -> Values | None:
        """What Stripe is asked to do with it; None where it stays as it is."""
        old, new = self.before, self.held
        if old is not None and (old.price_id, old.quantity) == (new.price_id, new.quantity):
            return None
        # The quantity is always sent along: with another price, Stripe would begin again at one.
        wanted = {"id": old.item_id if old else None, "price": new.price_id, "quantity": new.quantity}
        return {key: value for key, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Target:
    """The items afterwards, the main one first, and those that are taken away."""

    items: tuple[TargetItem, ...]
    removed: tuple[HeldItem, ...] = ()

    @property
    def params(self) -> list[Values]:
        """The items of an update ("Update a subscription", `items`); empty where nothing differs."""
        changed = [each.params for each in self.items]
        gone: list[Values] = [{"id": each.item_id, "deleted": True} for each in self.removed]
        return [each for each in changed if each is not None] + gone

    @property
    def held(self) -> tuple[HeldItem, ...]:
        return tuple(each.held for each in self.items)

    @property
    def direction(self) -> Direction:
        """Whether the change is an upgrade or a downgrade."""
        return direction([*self._before(), *self.removed], self.held)

    def _before(self) -> list[HeldItem]:
        return [each.before for each in self.items if each.before is not None]


def direction(before: Iterable[HeldItem], after: Iterable[HeldItem]) -> Direction:
    """The rule: rank of the plan, then quantity, then interval; else add-ons, where less is a downgrade."""
    old, new = list(before), list(after)
    had, has = _standing(old), _standing(new)
    if had != has:
        return "upgrade" if has > had else "downgrade"
    had_addons, has_addons = _addons(old), _addons(new)
    if had_addons != has_addons:
        is_more = any(count > had_addons.get(id, 0) for id, count in has_addons.items())
        return "upgrade" if is_more else "downgrade"
    prices = [sorted((each.price_id or "") for each in items) for items in (old, new)]
    return "none" if prices[0] == prices[1] else "upgrade"


def _standing(items: Iterable[HeldItem]) -> tuple[int, int, int]:
    main = max(items, key=lambda each: each.rank)
    position = main.plan.position if main.plan is not None else -1
    return position, main.quantity or 0, main.interval_days


def _addons(items: Iterable[HeldItem]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in items:
        if isinstance(each.offer, Addon):
            found[each.offer.id] = found.get(each.offer.id, 0) + (each.quantity or 0)
    return found


async def target_of(service: Service, api: StripeApi, current: Current, wanted: Change) -> Target:
    """What the change leads to.

    Raises:
        Conflict: with `choices`, when a plan or an add-on has no such price; when the subscription is of an
            add-on and has no plan.
        InvalidRequest: when nothing or too much is asked for, the price is no plan's, a quantity is not
            sold, or the plan, the add-on or its price is not sold.
        NotFound: when the catalogue has no such plan, price or add-on.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    _check(wanted)
    shape = current.main_values | _interval(wanted.interval)
    main = await _main(service, api, current, wanted, shape)
    if wanted.price_id is not None and wanted.price_id != current.item.price_id:
        shape |= await price_shape(api, wanted.price_id)
    main = replace(main, interval_days=_days(shape))
    others = [each for each in current.held if each.item_id != current.item.item_id]
    addons, removed = await _with_addons(service, api, others, wanted, shape, current)
    return Target((TargetItem(main, current.item), *addons), removed)


def _check(wanted: Change) -> None:
    main = (wanted.plan, wanted.price_id, wanted.interval, wanted.quantity)
    if (wanted.plan is not None and wanted.price_id is not None) or (
        all(each is None for each in main) and not wanted.addons
    ):
        raise InvalidRequest("Give a plan or a price_id, or an interval, a quantity or add-ons, or several.")
    if wanted.price_id is not None and wanted.interval is not None:
        raise InvalidRequest("interval: a price has its own. Send a plan, or leave the interval out.")


async def _main(
    service: Service, api: StripeApi, current: Current, wanted: Change, shape: Values
) -> HeldItem:
    """The plan's item afterwards."""
    item, catalogue = current.item, service.limits.catalogue
    plan = catalogue.plan(wanted.plan) if wanted.plan is not None else None
    bought = plan if wanted.price_id is None else await plan_of_price(service, api, wanted.price_id)
    if bought is not None or wanted.interval is not None:
        _check_is_no_addon(current)
    if plan is not None and plan is not item.plan:
        check_is_sold(catalogue, plan)
    price_id = wanted.price_id
    if price_id is None and (bought is not None or wanted.interval is not None):
        price_id = await _price_of(api, bought or item.plan, item, shape, current)
    price_id = price_id or item.price_id
    bought = bought or current.prices.plan(price_id) or item.plan
    if price_id != item.price_id and bought is not None:
        check_is_sold(catalogue, bought, price_id)
    quantity = quantity_for(bought, asked=wanted.quantity, had=item.quantity)
    if bought is None or price_id == item.price_id:
        return replace(item, quantity=quantity)
    return replace(
        item, price_id=price_id, offer=bought, quantity=quantity, unmapped=False, kept_quantity=None
    )


async def _price_of(
    api: StripeApi, plan: Plan | None, item: HeldItem, shape: Values, current: Current
) -> str | None:
    """The plan's price of this shape; the subscription's own where it has that already."""
    if plan is None:
        raise InvalidRequest("interval: the subscription has no plan of the catalogue. Send a plan.")
    if plan is item.plan and _same_interval(shape, current.main_values):
        return item.price_id
    return await price_like(api, plan, shape)


async def _with_addons(
    service: Service,
    api: StripeApi,
    others: Iterable[HeldItem],
    wanted: Change,
    shape: Values,
    current: Current,
) -> tuple[list[TargetItem], tuple[HeldItem, ...]]:
    """The items beside the main one afterwards, and those that are taken away."""
    by_id = {name: (_addon(service, name), quantity) for name, quantity in wanted.addons.items()}
    made: list[TargetItem] = []
    removed: list[HeldItem] = []
    for old in others:
        addon = old.offer if isinstance(old.offer, Addon) else None
        new = old
        if addon is not None and addon.id in by_id:
            quantity = by_id.pop(addon.id)[1]
            if quantity == 0:
                removed.append(old)
                continue
            check_quantity(addon, quantity)
            new = replace(new, quantity=quantity)
        if addon is not None and not _same_interval(shape, current.main_values):
            # All items of a subscription are billed at one interval.
            new = replace(new, price_id=await price_like(api, addon, shape), interval_days=_days(shape))
        made.append(TargetItem(new, old))
    for addon, quantity in by_id.values():
        if quantity:
            made.append(await _new_addon(service, api, addon, quantity, shape))
    return made, tuple(removed)


async def _new_addon(
    service: Service, api: StripeApi, addon: Addon, quantity: int, shape: Values
) -> TargetItem:
    check_is_sold(service.limits.catalogue, addon)
    check_quantity(addon, quantity)
    price_id = await price_like(api, addon, shape)
    return TargetItem(HeldItem("", price_id, addon, quantity, interval_days=_days(shape)), None)


def _addon(service: Service, name: str) -> Addon:
    addons = service.limits.catalogue.addons
    if name not in addons:
        known = ", ".join(addons) or "none"
        raise NotFound(f"No add-on {name!r} is in the plan catalogue: use one of its add-ons ({known}).")
    return addons[name]


def _check_is_no_addon(current: Current) -> None:
    """
    Raises:
        Conflict: when the subscription has add-ons and no plan: a plan would take an add-on's place.
    """
    offer: Offer | None = current.item.offer
    if isinstance(offer, Addon):  # a plan's item, or one of an unmapped price, would be the main one
        raise Conflict(
            f"Subscription {current.id} is of an add-on ({offer.id}), and has no plan to change. Nothing was "
            "changed. Change the plan's own subscription, or sell the plan by a checkout session."
        )


def _interval(wanted: str | None) -> Values:
    if wanted is None:
        return {}
    found = INTERVAL.fullmatch(wanted)
    if found is None:
        raise InvalidRequest(f"interval: {wanted!r} is none. Write month, year or 3 months.")
    return {"interval": found["interval"], "interval_count": int(found["count"] or 1)}


def _same_interval(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("interval", "interval_count"))


def _days(shape: Mapping[str, Any]) -> int:
    return INTERVAL_DAYS.get(shape["interval"] or "", 0) * (shape["interval_count"] or 1)
