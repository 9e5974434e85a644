"""`internal.*`: what other services say through the internal API, as events of their own in the inbox."""

from ...db.models import Customer, Subscription
from ...errors import Conflict, NotFound
from ...stripe.events import StripeEvent
from ...stripe.objects import Values
from ...stripe.ordering import is_terminal
from ..unit_of_work import UnitOfWork
from .announcements import RUNNING, announce_changes
from .customer import ensure_customer
from .links import announce_user, claim_by_update, link_internally, owner_before, resolve_owner
from .past_due import DUE
from .snapshots import current_position
from .subscription import ensure_subscription
from .subscription_columns import overlay_values

OWN_COLUMNS = ("plan_id", "quantity", "status", "start_date", "expiry_date")
"""What an internal update sets; everything else stays Stripe's."""


def internal_subscription_updated(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Lays an update of the internal API over the subscription, until Stripe sends a newer snapshot."""
    update = event.object
    known = unit_of_work.find(Subscription, update["subscription_id"])
    if known is not None:
        _check_may_change(known, update["customer_id"])
    subscription = known or ensure_subscription(unit_of_work, update["subscription_id"])
    customer = unit_of_work.find(Customer, update["customer_id"]) or ensure_customer(
        unit_of_work, update["customer_id"]
    )
    owner = owner_before(subscription, customer)

    # Newer than all that is stored, whatever the clocks say.
    earlier = subscription.overlay["created"] if subscription.overlay else 0
    created = max(event.created, subscription.snapshot_created or 0, earlier)
    own = {name: update[name] for name in OWN_COLUMNS if update.get(name) is not None}
    values = overlay_values(subscription.overlay, current_position(subscription)) | own
    before = dict(subscription.__dict__)
    if "status" in own:
        values["past_due_since"] = _past_due_since(before, own["status"], event)
    overlay = {"created": created, "event_id": event.id, "values": values}
    unit_of_work.change(subscription, customer_id=update["customer_id"], overlay=overlay, **values)
    if update.get("user_id") is not None:
        claim_by_update(unit_of_work, subscription, customer, update["user_id"], event)
    resolve_owner(unit_of_work, subscription)
    announce_changes(unit_of_work, event, before, subscription)
    if owner is None and before["status"] in RUNNING:
        announce_user(unit_of_work, subscription, event)
    shown = ("customer_id", *OWN_COLUMNS)
    unit_of_work.record(
        event,
        subscription.id,
        {name: before[name] for name in shown} | {"user_id": owner} if known else None,
        {name: subscription.__dict__[name] for name in shown} | {"user_id": subscription.user_id},
    )


def _past_due_since(before: Values, status: str, event: StripeEvent) -> int | None:
    """An update that leaves the status as it is moves no grace."""
    if status not in DUE:
        return None
    known: int | None = before["past_due_since"] if before["status"] in DUE else None
    return event.created if known is None else known


def internal_customer_linked(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Links a customer to a user, or to nobody, as the internal API was asked to."""
    customer = unit_of_work.find(Customer, event.object["customer_id"])
    if customer is None:
        raise NotFound(f"No customer {event.object['customer_id']} is known here.")
    before = customer.user_id
    link_internally(unit_of_work, customer, event.object["user_id"], event)
    unit_of_work.record(event, customer.id, {"user_id": before}, {"user_id": customer.user_id})


def _check_may_change(subscription: Subscription, customer_id: str) -> None:
    if subscription.customer_id not in (None, customer_id):
        raise Conflict(
            f"Subscription {subscription.id} belongs to customer {subscription.customer_id}. "
            "Nothing was changed."
        )
    if is_terminal(subscription.snapshot_rank):
        raise Conflict(
            f"Stripe has ended subscription {subscription.id} ({subscription.status}); nothing was changed. "
            "A new subscription in Stripe gets a new id."
        )
