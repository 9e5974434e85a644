"""What the deletion of a customer ends: pure.

"Delete a customer" in Stripe's API reference: that cancels the customer's subscriptions at once. Customers
that were copied to another account ("Copy account data") keep their ids, and go on there when they are
deleted in the old one: then newer snapshots of live subscriptions contradict the deletion.
"""

from ..stripe.objects import ENDED
from ..stripe.ordering import READING
from .records import CustomerRecord, SubscriptionRecord

CONTRADICTED_AFTER_SECONDS = 60
"""How much newer a snapshot must be: what is nearer may have been made before the deletion reached it."""


def deleted_at(customer: CustomerRecord | None) -> int | None:
    """When the customer was deleted (Unix seconds), even if it lives again; None for never."""
    if customer is None or customer.deleted_at is not None or not customer.deleted:
        return customer.deleted_at if customer is not None else None
    return customer.snapshot_created or 0  # an older release did not keep it apart


def ended_with(customer: CustomerRecord | None, subscription: SubscriptionRecord) -> bool:
    """Whether the subscription ended when its customer was deleted."""
    moment, seen = deleted_at(customer), subscription.snapshot_created
    if moment is None:
        return False
    if seen is None or subscription.status in ENDED:
        return True
    margin = 0 if _is_fetched(subscription) else CONTRADICTED_AFTER_SECONDS
    return seen <= moment + margin


def is_doubtful(customer: CustomerRecord | None, subscription: SubscriptionRecord) -> bool:
    """Whether only Stripe knows if the deletion ended the subscription."""
    moment, seen = deleted_at(customer), subscription.snapshot_created
    if moment is None or seen is None or subscription.status in ENDED or _is_fetched(subscription):
        return False
    lives_again = customer is not None and not customer.deleted
    near = moment < seen <= moment + CONTRADICTED_AFTER_SECONDS
    return near or (lives_again and seen <= moment)


def _is_fetched(subscription: SubscriptionRecord) -> bool:
    return (subscription.snapshot_event_id or "").startswith(READING)
