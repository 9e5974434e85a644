"""What would be over its limit after a change of plan, before the change is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import InvalidRequest, NotFound
from ..plans import HeldItem, Offer, Plan, PriceList
from .balances import entitle_as
from .decisions import first_subscription_resets, with_plan
from .holdings import Holdings
from .subscriptions import JudgedSubscription, bought


@dataclass(frozen=True, slots=True)
class FeaturePreview:
    """A feature before and after the change. None is unlimited, 0 denies."""

    limit_now: int | None
    limit_then: int | None
    used: int
    over: int
    """By how much the usage would exceed the limit."""


def preview(
    holdings: Holdings,
    usage: Mapping[str, int],
    *,
    plan: str | None = None,
    price_id: str | None = None,
    quantity: int | None = None,
) -> dict[str, FeaturePreview]:
    """Each feature, were the user's main subscription on another plan or price, or had it an add-on more.

    Its add-ons, the user's other subscriptions and overrides stay. Without a quantity, that of the
    subscription is kept. For who has none it is as in `preview_purchase`.

    Raises:
        NotFound: when the catalogue has no such plan or price.
        InvalidRequest: when neither or both of plan and price are given, or the quantity is negative.
    """
    if (plan is None) == (price_id is None):
        raise InvalidRequest("Give either a plan or a price_id.")
    if quantity is not None and quantity < 0:
        raise InvalidRequest(f"quantity ({quantity}) must be 0 or more.")
    catalogue = holdings.catalogue
    target = catalogue.plan(plan) if plan is not None else _of_price(price_id, holdings.prices)
    if isinstance(target, Plan):
        changed: Sequence[JudgedSubscription] = with_plan(holdings, target, price_id, quantity)
    else:
        changed = _with_addon(holdings, HeldItem("", price_id, target, quantity))
    return {
        key: _compare(holdings, key, _used_then(holdings, usage, key), changed) for key in catalogue.features
    }


def preview_subscription(
    holdings: Holdings,
    usage: Mapping[str, int],
    subscription_id: str,
    *,
    items: Sequence[HeldItem] | None,
) -> dict[str, FeaturePreview]:
    """Each feature, had this subscription these items; None: were it ended.

    A subscription that grants nothing now is none the less changed without an effect.
    """
    catalogue = holdings.catalogue
    changed = [
        each if each.id != subscription_id else each.with_items(items or ())
        for each in holdings.entitling
        if items is not None or each.id != subscription_id
    ]
    return {key: _compare(holdings, key, usage.get(key, 0), changed) for key in catalogue.features}


def preview_purchase(
    holdings: Holdings, usage: Mapping[str, int], items: Sequence[HeldItem], *, trialing: bool = False
) -> dict[str, FeaturePreview]:
    """Each feature, had the user a subscription of these items beside those that grant something now.

    `trialing`: with a trial first. A first subscription opens the usage periods that follow it, so nothing is
    used in those.
    """
    catalogue = holdings.catalogue
    limited = trialing and catalogue.access.trialing.level == "limited"
    changed = [*holdings.entitling, replace(bought(*items), limited=limited)]
    return {
        key: _compare(holdings, key, _used_then(holdings, usage, key), changed) for key in catalogue.features
    }


def _used_then(holdings: Holdings, usage: Mapping[str, int], feature: str) -> int:
    """What counts as used after a purchase; see `preview_purchase`."""
    return 0 if first_subscription_resets(holdings, feature) else usage.get(feature, 0)


def _of_price(price_id: str | None, prices: PriceList) -> Offer:
    target = prices.offer(price_id)
    if target is None:
        raise NotFound(f"Price {price_id} is in no plan of the catalogue: add it to one in the plans file.")
    return target


def _with_addon(holdings: Holdings, item: HeldItem) -> list[JudgedSubscription]:
    """On a subscription of its own: add-ons add up wherever they are."""
    return [*holdings.entitling, bought(item)]


def _compare(
    holdings: Holdings, feature: str, used: int, changed: Sequence[JudgedSubscription]
) -> FeaturePreview:
    then = entitle_as(holdings, feature, changed).limit
    over = 0 if then is None else max(used - then, 0)
    return FeaturePreview(holdings.limit(feature), then, used, over)
