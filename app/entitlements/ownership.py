"""Which of a user's customers count beside which: pure.

Whoever buys can put any user's id into the address of a payment link (`client_reference_id`, "URL
parameters" of Payment Links in Stripe's documentation). What is linked by that alone counts fully for a user
who has nothing else; beside a stronger link it adds its limits and no more, so that nobody is sent to a
stranger's customer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .records import CustomerRecord, SubscriptionRecord
from .subscriptions import JudgedSubscription

WEAK = "checkout"
"""The `link_source` of what only a `client_reference_id` links."""


def secondary_customers(
    customers: Sequence[CustomerRecord], subscriptions: Iterable[SubscriptionRecord]
) -> frozenset[str]:
    """The ids of the customers that a user is never sent to, of those linked to the user.

    Of several weak links alone the first counts, by the events that made them. A deleted customer is beside
    no other.
    """
    claimed = {each.customer_id for each in subscriptions if is_claimed(each)}
    weak = [each for each in customers if each.link_source == WEAK and each.id not in claimed]
    strong = claimed or any(not each.deleted for each in customers if each.link_source != WEAK)
    first = None if strong else min((each for each in weak if not each.deleted), key=_age, default=None)
    return frozenset(each.id for each in weak if each is not first)


def mark_secondary(
    judged: Iterable[JudgedSubscription],
    subscriptions: Sequence[SubscriptionRecord],
    linked: Sequence[CustomerRecord],
) -> tuple[JudgedSubscription, ...]:
    """The judged subscriptions, with those marked that only add their limits. `linked`: the user's customers.

    What paying or resuming would restore of them is not the user's to restore.
    """
    customers = secondary_customers(linked, subscriptions)
    marked = {each.id for each in subscriptions if each.customer_id in customers}
    return tuple(
        replace(each, secondary=True, access=replace(each.access, blocked_by=None))
        if each.id in marked
        else each
        for each in judged
    )


def is_claimed(subscription: SubscriptionRecord) -> bool:
    """Whether the subscription names its user by a claim of its own."""
    return subscription.link_source in ("internal", "metadata", "session")


def _age(customer: CustomerRecord) -> tuple[int, str, str]:
    claim = customer.links.get(WEAK) or {}
    return claim.get("created", 0), claim.get("event_id", ""), customer.id
