"""`customer.subscription.*`: each carries the whole subscription; the newest snapshot becomes the record."""

import structlog

from ...db.models import Subscription
from ...entitlements import never_paid
from ...signals import trial_ending
from ...stripe.events import StripeEvent
from ...stripe.objects import Values, metadata, required_id, subscription_values
from ...stripe.ordering import Position, lies_over
from ..unit_of_work import UnitOfWork
from .announcements import announce_changes, announce_first_payment_failed
from .customer import ensure_customer
from .links import link_by_metadata
from .past_due import evidence_of, merged, past_due_since
from .snapshots import current_position, is_near_a_reading, judge_snapshot, ordering_values
from .usage_periods import with_period_changes

log = structlog.get_logger(__name__)


def subscription_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    values = _values(event.object, event.created, unit_of_work)
    subscription = ensure_subscription(unit_of_work, required_id(event.object, "id"))
    customer = ensure_customer(unit_of_work, values["customer_id"])
    link_by_metadata(unit_of_work, customer, metadata(event.object), event)

    before, was_never_paid = dict(subscription.__dict__), never_paid(subscription)
    unsure = is_near_a_reading(event, subscription, unit_of_work)
    judgement = judge_snapshot(event, subscription, unit_of_work)
    changes = with_period_changes(
        event,
        values,
        subscription,
        lambda content: _values(content, event.created, unit_of_work),
        is_fetched=unit_of_work.read_at_version is not None,
    )
    merges = merged(before, evidence_of(event)) | {"period_changes": changes}
    if judgement is None:
        since = _since(subscription.status, merges, subscription.overlay, current_position(subscription))
        needs_refresh = subscription.needs_refresh or unsure
        unit_of_work.change(subscription, needs_refresh=needs_refresh, **merges, **since)
        return
    newest = judgement.newest
    if newest is not event:
        values = _values(newest.object, newest.created, unit_of_work)
    values |= ordering_values(judgement, unsure) | merges
    values |= _since(values["status"], merges, subscription.overlay, judgement.position)
    values |= overlay_values(subscription.overlay, judgement.position)
    unit_of_work.change(subscription, **values)
    announce_changes(unit_of_work, event, before, subscription)
    if never_paid(subscription) and not was_never_paid:
        announce_first_payment_failed(unit_of_work, event, subscription)
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


def _since(status: str | None, due: Values, overlay: Values | None, place: Position | None) -> Values:
    """The column `past_due_since`, unless an internal update says the status."""
    over = overlay_values(overlay, place)
    return {} if "status" in over else {"past_due_since": past_due_since(status, due)}


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
