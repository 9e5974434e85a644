"""Each subscription judged by itself: its plan, its add-ons, its access."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..plans import Addon, HeldItem, Limit, Plan, PriceList, held_items
from ..stripe.objects import ENDED
from ..stripe.terms import DAYS, period_ends
from .access import Access, access, main_paid_through
from .cycles import BillingCycle, billing_cycle
from .deletion import ended_with
from .granted import Grant
from .main_items import by_main_item
from .owed import Owed, owed_by_subscription
from .periods import DAY
from .records import CustomerRecord, InvoiceRecord, SubscriptionRecord, is_overlaid


@dataclass(frozen=True, slots=True)
class JudgedSubscription:
    """What a subscription is to the catalogue, and what its status grants of that."""

    id: str
    status: str | None
    access: Access
    items: tuple[HeldItem, ...] = ()
    """The main item first: plan, price and quantity are its own."""
    billing: BillingCycle | None = None
    expiry_date: int | None = None
    secondary: bool = False
    """Whether it adds its limits and no more: it gives its user no link and no banner."""
    limited: bool = False
    """Whether its plans and add-ons give their trial limits, where they have any."""
    grant: Grant | None = None
    """The grant of a plan that this stands for; there is no subscription then."""

    @property
    def entitles(self) -> bool:
        return self.access.level != "none"

    def gives(self, feature: str) -> bool:
        """Whether a plan or an add-on of one of its items names the feature."""
        return any(self.limit_of(item, feature) is not None for item in self.items)

    def limit_of(self, item: HeldItem, feature: str) -> Limit | None:
        """What one of its items gives of the feature; None where it does not name it."""
        return item.offer.limit(feature, trialing=self.limited) if item.offer is not None else None

    @property
    def main(self) -> HeldItem | None:
        return self.items[0] if self.items else None

    @property
    def plan(self) -> Plan | None:
        return self.main.plan if self.main else None

    @property
    def price_id(self) -> str | None:
        return self.main.price_id if self.main else None

    @property
    def quantity(self) -> int | None:
        return self.main.quantity if self.main else None

    @property
    def grants_nothing(self) -> bool:
        """Whether none of its prices is a plan's or an add-on's."""
        return all(item.offer is None for item in self.items)

    @property
    def unmapped_prices(self) -> tuple[str, ...]:
        """Its prices that nothing in the catalogue lists, not even `[ignored]`."""
        found = {item.price_id for item in self.items if item.unmapped and item.price_id}
        return tuple(sorted(found))

    def with_main(self, item: HeldItem) -> "JudgedSubscription":
        """The same with another main plan: it takes the place of the one that there is."""
        others = self.items[1:] if self.plan is not None else self.items
        return replace(self, items=(item, *others))

    def with_items(self, items: Iterable[HeldItem]) -> "JudgedSubscription":
        """The same with other items."""
        return replace(self, items=tuple(sorted(items, key=lambda each: each.rank, reverse=True)))


def bought(*items: HeldItem) -> JudgedSubscription:
    """A subscription that somebody might buy, for previews."""
    return JudgedSubscription("", "active", Access("full", "status"), items)


def granted_plan(grant: Grant, plan: Plan) -> JudgedSubscription:
    """What a grant of a plan gives: as much as one unit of it would, bought for good."""
    item = HeldItem("", None, plan, 1)
    return JudgedSubscription(grant.id, None, Access("full", "status"), (item,), grant=grant)


def judge_subscriptions(
    subscriptions: Iterable[SubscriptionRecord],
    invoices: Iterable[InvoiceRecord],
    customers: Iterable[CustomerRecord],
    prices: PriceList,
    now: int,
) -> tuple[JudgedSubscription, ...]:
    """All of a user's subscriptions, in the order of their ids; `now` in Unix seconds."""
    by_id = {customer.id: customer for customer in customers}
    owed = owed_by_subscription(invoices)
    judged = [
        _judge(each, ended_with(by_id.get(each.customer_id or ""), each), owed.get(each.id), prices, now)
        for each in subscriptions
    ]
    return tuple(sorted(judged, key=lambda each: each.id))


def _judge(
    subscription: SubscriptionRecord,
    customer_deleted: bool,
    owed: Owed | None,
    prices: PriceList,
    now: int,
) -> JudgedSubscription:
    policy = prices.catalogue.access
    items = _items(subscription, prices)
    subscription = by_main_item(subscription, items[0] if items else None)
    granted = access(subscription, customer_deleted, owed, policy, now)
    return JudgedSubscription(
        id=subscription.id,
        status=subscription.status,
        access=granted,
        items=items,
        billing=_billing_cycle(subscription, granted),
        expiry_date=subscription.expiry_date,
        limited=subscription.status == "trialing" and policy.trialing.level == "limited",
    )


def _items(subscription: SubscriptionRecord, prices: PriceList) -> tuple[HeldItem, ...]:
    """Read from the items, as the record's own columns are no newer than the catalogue they were made with.

    An internal update of the plan or the quantity replaces all that the items give as plans; add-ons stay.
    """
    held = held_items(subscription.items, subscription.item_history, prices)
    if not _replaces_the_plan(subscription):
        return held
    price_id = subscription.plan_id
    unmapped = prices.is_unmapped(price_id)
    own = HeldItem("", price_id, prices.offer(price_id), subscription.quantity, unmapped=unmapped)
    return (own, *(item for item in held if isinstance(item.offer, Addon)))


def _replaces_the_plan(subscription: SubscriptionRecord) -> bool:
    """Whether an internal update that overrides the record sets plan or quantity."""
    overlay = subscription.overlay if is_overlaid(subscription) else None
    return overlay is not None and not {"plan_id", "quantity"}.isdisjoint(overlay.get("values") or {})


NEVER_BEGUN = frozenset({None, "incomplete", "incomplete_expired"})
"""The statuses in which a subscription has not begun: no usage period is its own."""
RENEWAL_LOST_SECONDS = 7 * DAY
"""So long after its end a period without access stays open for a renewal; then Stripe's events were lost."""


def _billing_cycle(subscription: SubscriptionRecord, granted: Access) -> BillingCycle | None:
    """By Stripe's current period; by the term of an internal update where Stripe has sent none."""
    start, end = subscription.current_period_start, subscription.current_period_end
    if start is None or end is None:
        start, end = subscription.start_date, subscription.expiry_date
    if start is None or end is None or end <= start or subscription.status in NEVER_BEGUN:
        return None
    renewed = _renewed(subscription, end)
    last_end = renewed[-1] if renewed else end
    return billing_cycle(
        began=start if subscription.start_date is None else subscription.start_date,
        start=start,
        end=end,
        anchor=subscription.billing_cycle_anchor,
        changes=subscription.period_changes or (),
        renewed=renewed,
        ended=_opens_none_since(subscription, granted, _Bounds(start, end, last_end)),
        lost_at=last_end + RENEWAL_LOST_SECONDS if granted.level == "none" else None,
        by_days=subscription.status != "trialing" and _main_item(subscription).get("interval") in DAYS,
    )


def _main_item(subscription: SubscriptionRecord) -> Mapping[str, Any]:
    """The item that plan and term come from, as it is stored; empty where there is none."""
    return next((each for each in subscription.items if each.get("price_id") == subscription.plan_id), {})


def _renewed(subscription: SubscriptionRecord, end: int) -> tuple[int, ...]:
    """When the periods end that only paid invoices show: the event of the renewal may be lost."""
    paid = main_paid_through(subscription)
    if paid is None or paid <= end:
        return ()
    anchor = subscription.billing_cycle_anchor
    return period_ends(end if anchor is None else anchor, _main_item(subscription), end, paid)


class _Bounds(NamedTuple):
    """Stripe's current period, and the end of the last one that an invoice shows. Unix seconds."""

    start: int
    end: int
    last_end: int


def _opens_none_since(subscription: SubscriptionRecord, granted: Access, bounds: _Bounds) -> int | None:
    """Since when no period opens by itself; None while it renews, paid or not. Not known when: its start."""
    if granted.level != "none":
        return None
    if subscription.status in ENDED:
        return subscription.expiry_date or bounds.start
    if granted.reason == "cancel_at_reached":
        cancel_at = subscription.cancel_at
        return bounds.end if cancel_at is None else min(cancel_at, bounds.last_end)
    if subscription.status == "paused" or granted.reason == "customer_deleted":
        return bounds.start
    return bounds.last_end if granted.reason == "expired" else None
