"""Stripe in a box: an account with a clock of its own, whose events are as Stripe sends them.

    >>> account = Account(seed=7)
    >>> customer = account.create_customer("ada@example.com", user_id="user_ada")
    >>> subscription = account.create_subscription(customer, "price_team", quantity=3)
    >>> account.advance(30 * DAY)
    >>> invoice = account.renew(subscription, paid=False)
    >>> subscription.status
    'past_due'
    >>> [event.type for event in account.events][-3:]
    ['invoice.finalized', 'invoice.payment_failed', 'customer.subscription.updated']
    >>> truth(account)["subscriptions"][subscription.id]["quantity"]
    3
    >>> body = event_body(account.events[-1], NEW)
    >>> sign(body, "whsec_test_example", 1_893_456_000)[:16]
    't=1893456000,v1='

Nothing here imports the service: it is the truth that the service is held against.
"""

from .account import DAY, PRICES, Account
from .delivery import SHAPES, Faults, Payload, Report, deliver, deliveries, send_on, simulate
from .histories import random_history
from .model import Customer, Event, EventDestination, Invoice, Price, Subscription
from .render import NEW, OLD, Shape, difference, event_body, render, render_event
from .scenarios import SCENARIOS, play
from .signing import sign, signed_event
from .thin import ThinEvent, thin_body, thin_event, thin_events
from .truth import Truth, truth

__all__ = [
    "DAY",
    "NEW",
    "OLD",
    "PRICES",
    "SCENARIOS",
    "SHAPES",
    "Account",
    "Customer",
    "Event",
    "EventDestination",
    "Faults",
    "Invoice",
    "Payload",
    "Price",
    "Report",
    "Shape",
    "Subscription",
    "ThinEvent",
    "Truth",
    "deliver",
    "deliveries",
    "difference",
    "event_body",
    "play",
    "random_history",
    "render",
    "render_event",
    "send_on",
    "sign",
    "signed_event",
    "simulate",
    "thin_body",
    "thin_event",
    "thin_events",
    "truth",
]
