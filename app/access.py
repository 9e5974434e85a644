"""What a subscription's status grants."""

from typing import Literal

from .models import Customer, Subscription

Access = Literal["full", "grace", "none"]

ACCESS_OF_STATUS: dict[str, Access] = {"active": "full", "trialing": "full", "past_due": "grace"}


def access(subscription: Subscription, customer: Customer | None) -> Access:
    """The access that the subscription grants; a deleted customer's grants none."""
    if customer is not None and customer.deleted:
        return "none"
    return ACCESS_OF_STATUS.get(subscription.status or "", "none")
