"""`customer.subscription.*`: each carries the whole subscription; the newest snapshot becomes the record."""

from ...db.models import Subscription
from ...entitlements import is_doubtful, never_paid
from ...signals import trial_ending
from ...stripe.events import StripeEvent
from ...stripe.objects import Values, check_subscription, required_id
from ...stripe.ordering import Judgement
from ..unit_of_work import UnitOfWork
from .announcements import RUNNING, announce_changes, announce_first_payment_failed
from .customer import ensure_customer
from .item_history import content_before, cut_values, history_of, remembered
from .links import announce_user, claim_by_metadata, owner_before, resolve_owner
from .past_due import evidence_of, evidence_of_thin, merged, since_values
from .price import announce_unmapped, learn_prices
from .schedules import is_schedule_unsure, note_attached_schedule
from .snapshots import current_position, is_near_a_fetched_state, is_reading, judge_snapshot, ordering_values
from .subscription_columns import (
    Columns,
    columns_of_items,
    derived_again,
    items_shown,
    overlay_values,
    period_columns,
    subscription_columns,
)
from .usage_periods import with_period_changes


def subscription_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Writes the newest snapshot of the subscription as its record."""
    if event.read_for is not None:
        note_thin_status(event, unit_of_work)  # the fetched state has been applied
        return
    check_subscription(event.object)
    subscription = ensure_subscription(unit_of_work, required_id(event.object, "id"))
    customer = ensure_customer(unit_of_work, required_id(event.object, "customer"))
    learn_prices(event, unit_of_work)

    before, was_never_paid = dict(subscription.__dict__), never_paid(subscription)
    owner = owner_before(subscription, customer)
    unsure = is_near_a_fetched_state(event, subscription, unit_of_work)
    judgement = judge_snapshot(event, subscription, unit_of_work)
    own = _remember(event, subscription, unit_of_work)
    note_attached_schedule(event, unit_of_work, subscription)
    claim_by_metadata(unit_of_work, subscription, customer, event, judgement.newest if judgement else None)
    if judgement is None:
        values = _of_the_record(subscription, unit_of_work)
        values["needs_refresh"] = subscription.needs_refresh or unsure
    else:
        if judgement.newest is not event:
            own = columns_of(judgement.newest, subscription, unit_of_work)
        values = _of_the_newest(judgement, own, subscription, unsure=unsure)
    unit_of_work.change(subscription, **values)
    if is_doubtful(customer, subscription):
        unit_of_work.change(subscription, needs_refresh=True)
    resolve_owner(unit_of_work, subscription)
    announce_changes(unit_of_work, event, before, subscription)
    announce_unmapped(event, unit_of_work, subscription)
    if never_paid(subscription) and not was_never_paid:
        announce_first_payment_failed(unit_of_work, event, subscription)
    if owner is None and before["status"] in RUNNING:
        announce_user(unit_of_work, subscription, event)


def trial_will_end(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """`customer.subscription.trial_will_end`: three days before, or when Stripe was asked to end it."""
    subscription_snapshot(event, unit_of_work)
    subscription = ensure_subscription(unit_of_work, required_id(event.object, "id"))
    if subscription.status != "trialing":
        return
    unit_of_work.announce(
        trial_ending,
        event,
        fact=f"{subscription.id}:{subscription.trial_end}",
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        trial_end=subscription.trial_end,
        plan_id=subscription.plan_id,
    )


def subscription_status_reached(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Stores when the status began. These events are thin, and the fetched state does not say it.

    Thin events only ("Event types"); what the subscription is now was read before.
    """
    note_thin_status(event, unit_of_work)


def note_thin_status(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Keep what the thin event says of the status for which the subscription was read."""
    if (evidence := evidence_of_thin(event)) is None:
        return
    subscription = ensure_subscription(unit_of_work, required_id(event.object, "id"))
    unit_of_work.change(subscription, **merged(subscription.__dict__, evidence))
    place = current_position(subscription)
    unit_of_work.change(subscription, **since_values(subscription.status, subscription, place))


def columns_of(event: StripeEvent, subscription: Subscription, unit_of_work: UnitOfWork) -> Columns:
    """The columns that the event's snapshot gives, with what the record remembers."""
    return subscription_columns(event.object, event.created, subscription, unit_of_work.prices)


def _remember(event: StripeEvent, subscription: Subscription, unit_of_work: UnitOfWork) -> Columns:
    """Keep what this event says of before, be it the newest or not; the columns that its snapshot gives."""

    is_fetched = unit_of_work.read_at_version is not None
    known = subscription.items if is_fetched else None
    history = subscription.item_history or history_of(subscription.items, subscription.snapshot_created)
    shown, before = items_shown(event.object), content_before(event)
    shown_before = items_shown(before) if before is not None else None
    history = remembered(history, event, shown[0], shown_before[0] if shown_before else None, known)
    unit_of_work.change(subscription, item_history=history)
    prices = unit_of_work.prices
    own = columns_of_items(shown, event.object, event.created, subscription, prices)
    was = None
    if before is not None and shown_before is not None:
        was = period_columns(shown_before, before, event.created, subscription, prices)
    changes = with_period_changes(event, own[0], was, subscription, is_fetched=is_fetched)
    merges = merged(subscription.__dict__, evidence_of(event))
    unit_of_work.change(subscription, period_changes=changes, **merges)
    return own


def _of_the_record(subscription: Subscription, unit_of_work: UnitOfWork) -> Values:
    """The columns by the snapshot that the record holds, now that more is remembered."""
    place = current_position(subscription)
    values = derived_again(subscription, unit_of_work.prices)
    return values | since_values(subscription.status, subscription, place)


def _of_the_newest(
    judgement: Judgement, columns: Columns, subscription: Subscription, *, unsure: bool
) -> Values:
    """The columns by the snapshot that has been found to be the newest."""
    newest = judgement.newest
    values, lacking = columns
    # What was fetched says all that Stripe does: fetching it again would never end.
    lacking = lacking or is_schedule_unsure(subscription, values["schedule_id"])
    unsure = unsure or (lacking and not is_reading(newest.id)) or bool(subscription.cut_invoices)
    values |= ordering_values(judgement, unsure) | cut_values(subscription.item_history, newest.object)
    values |= since_values(values["status"], subscription, judgement.position)
    return values | overlay_values(subscription.overlay, judgement.position)


def ensure_subscription(unit_of_work: UnitOfWork, subscription_id: str) -> Subscription:
    """The record of a subscription that an event of Stripe's names, or a provisional one, which any snapshot
    replaces; it is to be fetched until one came."""
    subscription = unit_of_work.find(Subscription, subscription_id)
    if subscription is None:
        return unit_of_work.add(Subscription, subscription_id, needs_refresh=True)
    if subscription.snapshot_rank is None:
        unit_of_work.change(subscription, needs_refresh=True)
    return subscription
