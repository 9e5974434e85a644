"""Which thin events are read from Stripe: judged by the object that they name, not by their own type.

A thin event about a subscription changes that subscription's record, whatever its type is called. Of other
objects it is read where its type has a receiver, ours or the application's.
"""

from ..signals import INTERNAL, has_receivers
from ..stripe.event_types import plain_type
from ..stripe.events import StripeEvent
from ..stripe.objects import as_text

RECORDED = {
    "subscription": "customer.subscription.updated",
    "customer": "customer.updated",
    "invoice": "invoice.updated",
    "price": "price.updated",
    "product": "product.updated",
}
"""The objects that have a record here, and as which event what is read of them is applied."""


def kind_of(event: StripeEvent) -> str | None:
    """The type of the object that the event names; None where it names none."""
    return as_text(event.object.get("object"))


def names_of(event: StripeEvent) -> list[str]:
    """The signals of the event: its type as snapshot events have it, and as Stripe spells it."""
    names = dict.fromkeys((plain_type(event.type), event.type))
    return [name for name in names if not name.startswith(INTERNAL)]


def is_awaited(event: StripeEvent) -> bool:
    """Whether anything here needs what the thin event is about."""
    return kind_of(event) in RECORDED or any(has_receivers(name) for name in names_of(event))
