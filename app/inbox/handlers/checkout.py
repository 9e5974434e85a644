"""`checkout.session.completed`: links the customer to the user who bought."""

from ...stripe.events import StripeEvent
from ...stripe.objects import as_id, as_text, metadata
from ..unit_of_work import UnitOfWork
from .customer import ensure_customer
from .links import link_by_checkout, link_by_metadata


def checkout_session_completed(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    customer_id = as_id(event.object.get("customer"))
    if customer_id is None:
        return  # a one-off payment by a guest
    customer = ensure_customer(unit_of_work, customer_id)
    link_by_metadata(unit_of_work, customer, metadata(event.object), event)
    link_by_checkout(unit_of_work, customer, as_text(event.object.get("client_reference_id")), event)
