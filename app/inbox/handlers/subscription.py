"""`customer.subscription.*`: each carries the whole subscription; the newest snapshot becomes the record."""

import structlog

from ...db.models import Subscription
from ...signals import trial_ending
from ...stripe.events import StripeEvent
from ...stripe.objects import Values, metadata, required_id, subscription_values
from ...stripe.ordering import Position, lies_over
from ..unit_of_work import UnitOfWork
from .announcements import announce_changes
from .customer import ensure_customer
from .links import link_by_metadata
from .snapshots import is_near_a_reading, judge_snapshot, ordering_values
from .usage_periods import with_period_changes

log = structlog.get_logger(__name__)


def subscription_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    values = _values(event.object, event.created, unit_of_work)
    subscription = ensure_subscription(unit_of_work, required_id(event.object, "id"))
    customer = ensure_customer(unit_of_work, values["customer_id"])
    link_by_metadata(unit_of_work, customer, metadata(event.object), event)

    unsure = is_near_a_reading(event, subscription)
    judgement = judge_snapshot(event, subscription, unit_of_work)
    changes = with_period_changes(
        event, values, subscription, lambda content: _values(content, event.created, unit_of_work)
    )
    if judgement is None:
        needs_refresh = subscription.needs_refresh or unsure
        unit_of_work.change(subscription, needs_refresh=needs_refresh, period_changes=changes)
        return
    newest = judgement.newest
    if newest is not event:
        values = _values(newest.object, newest.created, unit_of_work)
    values |= ordering_values(judgement, unsure)
    values |= overlay_values(subscription.overlay, judgement.position) | {"period_changes": changes}
    before = dict(subscription.__dict__)
    unit_of_work.change(subscription, **values)
    announce_changes(unit_of_work, event, before, subscription)
    _warn_of_a_price_without_plan(unit_of_work, event, before, subscription)
    if event.type == "customer.subscription.trial_will_end" and subscription.status == "trialing":
        unit_of_work.announce(
            trial_ending,
            event,
            customer_id=subscription.customer_id,
            subscription_id=subscription.id,
            trial_end=subscription.trial_end,
            plan_id=subscription.plan_id,
        )


def _values(content: Values, created: int, unit_of_work: UnitOfWork) -> Values:
    """The columns; plan and quantity are of the first item whose price is a plan's, else of the first."""
    values = subscription_values(content, created)
    item = unit_of_work.catalogue.plan_item(values["items"]) or {}
    return values | {"plan_id": item.get("price_id"), "quantity": item.get("quantity")}


def _warn_of_a_price_without_plan(
    unit_of_work: UnitOfWork, event: StripeEvent, before: Values, subscription: Subscription
) -> None:
    """Whoever pays for it has the default plan: somebody forgot a line in the plans file."""
    price = subscription.plan_id
    if price != before["plan_id"] and unit_of_work.catalogue.plan_of_price(price) is None:
        log.warning("price_without_plan", event_id=event.id, subscription_id=subscription.id, price_id=price)


def ensure_subscription(unit_of_work: UnitOfWork, subscription_id: str) -> Subscription:
    """The record, or a provisional one, which any snapshot replaces."""
    return unit_of_work.find(Subscription, subscription_id) or unit_of_work.add(
        Subscription, subscription_id, needs_refresh=True
    )


def overlay_values(overlay: Values | None, place: Position | None) -> Values:
    """What the last internal update lays over the snapshot at `place`."""
    return dict(overlay["values"]) if overlay is not None and lies_over(overlay, place) else {}
