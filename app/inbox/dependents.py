"""The stored subscriptions of a customer: loaded where an event may change whose they are, or end them.

Who holds the lock of a customer may write its subscriptions: every event that writes one names its customer.
"""

from collections.abc import Iterable

from ..db import Batch
from ..db.models import Customer, Subscription, table_of
from ..stripe.events import StripeEvent
from ..stripe.objects import named_user
from .handlers.claims import NOTHING
from .unit_of_work import UnitOfWork


async def load_dependents(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Load the subscriptions of the customers that the events may change, into the unit of work."""
    events = [event for event in events if not event.problem]  # one that cannot be read names nothing
    named = {id for event in events for id in event.names["customer"]}
    stored = {id: row for id in named if (row := unit_of_work.find(Customer, id)) is not None}
    customers = {
        id
        for event in events
        for id in event.names["customer"] & stored.keys()
        if _may_reach(event, stored[id], unit_of_work)
    }
    if customers:
        rows = await batch.load_by(table_of(Subscription), "customer_id", customers)
        unit_of_work.fill_missing(Subscription, rows)


def _may_reach(event: StripeEvent, customer: Customer, unit_of_work: UnitOfWork) -> bool:
    """Whether the event may change more of the customer's subscriptions than the one that it is about."""
    if event.type.startswith("customer.subscription."):
        return False
    if event.type.startswith("customer."):
        return _changes_customer(event, customer, unit_of_work)
    return event.type.startswith(("checkout.session.", "internal."))


def _changes_customer(event: StripeEvent, customer: Customer, unit_of_work: UnitOfWork) -> bool:
    """Most changes of a customer are of an address or a balance, and touch no subscription."""
    if event.type == "customer.deleted" or customer.deleted or "internal" in customer.links:
        return True
    known = customer.links.get("metadata", NOTHING)
    own = known["user_id"] if known["object_id"] == customer.id else None
    return own != named_user(event.object, unit_of_work.link_keys)
