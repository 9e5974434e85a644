"""`customer.created`, `.updated`, `.deleted`: the customer's record, and the user that it names."""

from ...db.models import Customer
from ...stripe.events import StripeEvent
from ...stripe.objects import customer_values, required_id
from ..unit_of_work import UnitOfWork
from .links import link_by_metadata
from .snapshots import is_near_a_reading, judge_snapshot, ordering_values


def customer_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    customer = ensure_customer(unit_of_work, required_id(event.object, "id"))
    unsure = is_near_a_reading(event, customer, unit_of_work)
    judgement = judge_snapshot(event, customer, unit_of_work)
    link_by_metadata(unit_of_work, customer, event, judgement.newest if judgement is not None else None)
    if judgement is None:
        unit_of_work.change(customer, needs_refresh=customer.needs_refresh or unsure)
        return
    newest = judgement.newest
    values = customer_values(newest.object) | ordering_values(judgement, unsure)
    # The object in `customer.deleted` is the customer as it last was, not always marked as deleted.
    values["deleted"] = values["deleted"] or newest.type == "customer.deleted"
    if values["livemode"] is None:  # Stripe's API tells only the id of a deleted customer
        values["livemode"] = newest.livemode
    unit_of_work.change(customer, **values)


def ensure_customer(unit_of_work: UnitOfWork, customer_id: str) -> Customer:
    """The record, or one that only links and subscriptions have spoken of so far."""
    return unit_of_work.find(Customer, customer_id) or unit_of_work.add(
        Customer, customer_id, needs_refresh=True
    )
