"""Each subscription judged by itself: its plan, its add-ons, its access."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..plans import Addon, Catalogue, Plan
from ..stripe.objects import ENDED
from .cycles import BillingCycle, billing_cycle
from .owed import Owed, owed_by_subscription
from .periods import DAY
from .records import CustomerRecord, InvoiceRecord, SubscriptionRecord, is_overlaid
from .standing import Access, access


@dataclass(frozen=True, slots=True)
class AddonItem:
    """An item of a subscription whose price is an add-on's."""

    addon: Addon
    price_id: str
    units: int


@dataclass(frozen=True, slots=True)
class JudgedSubscription:
    """What a subscription is to the catalogue, and what its status grants of that."""

    id: str
    status: str | None
    access: Access
    plan: Plan | None
    price_id: str | None
    quantity: int | None
    addons: tuple[AddonItem, ...] = ()
    billing: BillingCycle | None = None
    expiry_date: int | None = None

    @property
    def entitles(self) -> bool:
        return self.access.level != "none"

    def gives(self, feature: str) -> bool:
        """Whether its plan or one of its add-ons names the feature."""
        given = [self.plan, *(item.addon for item in self.addons)]
        return any(each is not None and feature in each.limits for each in given)

    @property
    def units(self) -> int:
        return units_of(self.quantity)


def units_of(quantity: int | None) -> int:
    """What a limit per unit is multiplied by: no quantity, as with metered prices, counts as 1."""
    return 1 if quantity is None else max(quantity, 0)


def judge_subscriptions(
    subscriptions: Iterable[SubscriptionRecord],
    invoices: Iterable[InvoiceRecord],
    customers: Iterable[CustomerRecord],
    catalogue: Catalogue,
    now: int,
) -> tuple[JudgedSubscription, ...]:
    """All of a user's subscriptions, in the order of their ids; `now` in Unix seconds."""
    deleted = {customer.id for customer in customers if customer.deleted}
    owed = owed_by_subscription(invoices)
    judged = [
        _judge(each, each.customer_id in deleted, owed.get(each.id), catalogue, now) for each in subscriptions
    ]
    return tuple(sorted(judged, key=lambda each: each.id))


def _judge(
    subscription: SubscriptionRecord,
    customer_deleted: bool,
    owed: Owed | None,
    catalogue: Catalogue,
    now: int,
) -> JudgedSubscription:
    granted = access(subscription, customer_deleted, owed, catalogue.access, now)
    price_id, quantity = _plan_price(subscription, catalogue)
    return JudgedSubscription(
        id=subscription.id,
        status=subscription.status,
        access=granted,
        plan=catalogue.plan_of_price(price_id),
        price_id=price_id,
        quantity=quantity,
        addons=tuple(_addons(subscription, catalogue)),
        billing=_billing_cycle(subscription, granted),
        expiry_date=subscription.expiry_date,
    )


def _plan_price(subscription: SubscriptionRecord, catalogue: Catalogue) -> tuple[str | None, int | None]:
    """The price that the plan comes from, and its quantity.

    Read from the items, as the record's own columns are no newer than the catalogue they were made with.
    """
    if is_overlaid(subscription):
        return subscription.plan_id, subscription.quantity
    item: Mapping[str, Any] = catalogue.plan_item(subscription.items) or {}
    return item.get("price_id"), item.get("quantity")


def _addons(subscription: SubscriptionRecord, catalogue: Catalogue) -> Iterable[AddonItem]:
    for item in subscription.items:
        price_id = item.get("price_id")
        addon = catalogue.addon_of_price(price_id)
        if addon is not None and price_id is not None:
            yield AddonItem(addon, price_id, units_of(item.get("quantity")))


NEVER_BEGUN = frozenset({None, "incomplete", "incomplete_expired"})
"""The statuses in which a subscription has not begun: no usage period is its own."""
RENEWAL_LOST_SECONDS = 7 * DAY
"""So long after its end a period without access stays open for a renewal; then Stripe's events were lost."""


def _billing_cycle(subscription: SubscriptionRecord, granted: Access) -> BillingCycle | None:
    """By Stripe's current period; by the term of an internal update where Stripe has told of none."""
    start, end = subscription.current_period_start, subscription.current_period_end
    if start is None or end is None:
        start, end = subscription.start_date, subscription.expiry_date
    if start is None or end is None or end <= start or subscription.status in NEVER_BEGUN:
        return None
    return billing_cycle(
        began=start if subscription.start_date is None else subscription.start_date,
        start=start,
        end=end,
        anchor=subscription.billing_cycle_anchor,
        changes=subscription.period_changes or (),
        ended=_opens_none_since(subscription, granted, start, end),
        lost_at=end + RENEWAL_LOST_SECONDS if granted.level == "none" else None,
    )


def _opens_none_since(subscription: SubscriptionRecord, granted: Access, start: int, end: int) -> int | None:
    """Since when no period opens by itself; None while it renews, paid or not. Not known when: its start."""
    if granted.level != "none":
        return None
    if subscription.status in ENDED:
        return subscription.expiry_date or start
    if granted.reason == "cancel_at_reached":
        cancel_at = subscription.cancel_at
        return end if cancel_at is None else min(cancel_at, end)
    if subscription.status == "paused" or granted.reason == "customer_deleted":
        return start
    return end if granted.reason == "expired" else None
