"""Links and updates: what an operator or another service says of a customer or a subscription.

Each is an event of the inbox, stored with the others; its audit entry is in the same transaction.
"""

import uuid
from typing import Any

import orjson

from ..errors import NotFound
from ..inbox.delivery import Delivery
from ..inbox.inbox import UPDATE_TIMEOUT_SECONDS
from ..inbox.kinds import KINDS
from ..inbox.outcome import Outcome
from ..service import Service
from ..stripe.events import StripeEvent
from ..stripe.objects import as_id


async def link_customer(
    service: Service, customer_id: str, user_id: str | None, *, actor: str, announce: bool = True
) -> Outcome:
    """Link a customer to a user of the application, to another one, or (None) to nobody.

    It stands above any metadata and any checkout, until the next call. `announce`: whether a subscription
    that runs, and has its first user now, is announced as activated.

    Raises:
        NotFound: when the customer is not known.
        Unavailable: when the database cannot store it now.
    """
    if as_id(customer_id) is None:
        raise NotFound("No customer with this id is known here.")
    content: dict[str, Any] = {"customer_id": customer_id, "user_id": user_id}
    if not announce:
        content["announce"] = False
    delivery = _internal_event(
        service, "internal.customer.linked", customer_id, content, actor, customer=customer_id
    )
    return await service.inbox.accept(delivery, timeout_seconds=UPDATE_TIMEOUT_SECONDS)


async def update_subscription(
    service: Service, subscription_id: str, customer_id: str, content: dict[str, Any], *, actor: str
) -> Outcome:
    """Create or update a subscription as another service knows it, until Stripe's next event on it.

    Raises:
        Conflict: Stripe has ended it, or it belongs to another customer; nothing was changed.
        Unavailable: when the database cannot store it now.
    """
    delivery = _internal_event(
        service,
        "internal.subscription.updated",
        subscription_id,
        content,
        actor,
        subscription=subscription_id,
        customer=customer_id,
    )
    return await service.inbox.accept(delivery, timeout_seconds=UPDATE_TIMEOUT_SECONDS)


def _internal_event(
    service: Service, event_type: str, object_id: str, content: dict[str, Any], actor: str, **named: str
) -> Delivery:
    """`named`: the ids of the records that the change may touch, by kind: `customer="cus_1"`."""
    now = int(service.clock())
    content = content | {"id": object_id}
    event = StripeEvent(
        id=f"int_{uuid.uuid4().hex}",
        type=event_type,
        created=now,
        object=content,
        body=orjson.dumps(content).decode(),
        names={kind: {named[kind]} if kind in named else set() for kind in KINDS},
    )
    return Delivery(event, source="internal", received_at=now, actor=actor)
