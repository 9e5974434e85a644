"""Which user a customer and a subscription belong to, as somebody says it here rather than at Stripe."""

import uuid
from typing import Any

import orjson

from ..inbox.delivery import Delivery
from ..inbox.unit_of_work import KINDS
from ..service import Service
from ..stripe.events import StripeEvent


def internal_event(
    service: Service, event_type: str, object_id: str, content: dict[str, Any], actor: str, **named: str
) -> Delivery:
    """A change by a caller of the internal API, as an event for the inbox.

    `named`: the ids of the records that it may touch, by kind: `customer="cus_1"`.
    """
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
