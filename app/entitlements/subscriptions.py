"""Each subscription judged by itself: its plan, its add-ons, its access."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..plans import Addon, Catalogue, Plan
from .periods import BillingPeriod
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
    billing: BillingPeriod | None = None
    expiry_date: int | None = None

    @property
    def entitles(self) -> bool:
        return self.access.level != "none"

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
    oldest = oldest_attempted_open_invoices(invoices)
    judged = [
        _judge(each, each.customer_id in deleted, oldest.get(each.id), catalogue, now)
        for each in subscriptions
    ]
    return tuple(sorted(judged, key=lambda each: each.id))


def oldest_attempted_open_invoices(invoices: Iterable[InvoiceRecord]) -> dict[str, int]:
    """For each subscription the `created` (Unix seconds) that grace counts from."""
    oldest: dict[str, int] = {}
    for invoice in invoices:
        subscription, created = invoice.subscription_id, invoice.created
        attempted = invoice.status == "open" and invoice.attempt_count > 0
        if attempted and subscription is not None and created is not None:
            oldest[subscription] = min(created, oldest.get(subscription, created))
    return oldest


def _judge(
    subscription: SubscriptionRecord,
    customer_deleted: bool,
    oldest_invoice: int | None,
    catalogue: Catalogue,
    now: int,
) -> JudgedSubscription:
    granted = access(subscription, customer_deleted, oldest_invoice, catalogue.access, now)
    price_id, quantity = _plan_price(subscription, catalogue)
    return JudgedSubscription(
        id=subscription.id,
        status=subscription.status,
        access=granted,
        plan=catalogue.plan_of_price(price_id),
        price_id=price_id,
        quantity=quantity,
        addons=tuple(_addons(subscription, catalogue)),
        billing=_billing_period(subscription, granted),
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


def _billing_period(subscription: SubscriptionRecord, granted: Access) -> BillingPeriod | None:
    """Stripe's current period; the term of an internal update where Stripe has told of none."""
    start, end = subscription.current_period_start, subscription.current_period_end
    if start is None or end is None:
        start, end = subscription.start_date, subscription.expiry_date
    if start is None or end is None or end <= start:
        return None
    return BillingPeriod(start, end, granted.ends_at)
