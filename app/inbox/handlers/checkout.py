"""`checkout.session.completed`: the user who bought, of the subscription and of its customer."""

from ...db.models import Customer
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, named_user
from ..unit_of_work import UnitOfWork
from .customer import ensure_customer
from .links import announce_user, claim_by_session, link_by_checkout, owner_before, resolve_owner
from .purchase import record_purchase
from .subscription import ensure_subscription


def checkout_session_completed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Links the subscription and its customer to the user who bought, and records what was bought once."""
    record_purchase(event, unit_of_work)
    customer_id = as_id(event.object.get("customer"))
    if customer_id is None:
        return  # a one-off payment by a guest
    customer = ensure_customer(unit_of_work, customer_id)
    subscription_id = as_id(event.object.get("subscription"))
    if subscription_id and named_user(event.object, unit_of_work.link_keys):
        _claim_subscription(event, unit_of_work, customer, subscription_id)
    link_by_checkout(unit_of_work, customer, event)


def _claim_subscription(
    event: StripeEvent, unit_of_work: UnitOfWork, customer: Customer, subscription_id: str
) -> None:
    subscription = ensure_subscription(unit_of_work, subscription_id)
    if subscription.customer_id is None:
        unit_of_work.change(subscription, customer_id=customer.id)
    owner = owner_before(subscription, customer)
    claim_by_session(unit_of_work, subscription, event)
    resolve_owner(unit_of_work, subscription)
    if owner is None:
        announce_user(unit_of_work, subscription, event)
