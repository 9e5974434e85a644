"""Which user a customer and a subscription belong to, as somebody says it here rather than at Stripe."""

import uuid
from typing import Any

import orjson

from ..service import Service
from ..stripe.events import StripeEvent


def internal_event(
    service: Service, event_type: str, object_id: str, content: dict[str, Any], actor: str
) -> StripeEvent:
    """What a caller of the internal API says of an object, as an event for the inbox."""
    now = int(service.clock())
    content = content | {"id": object_id}
    return StripeEvent(
        id=f"int_{uuid.uuid4().hex}",
        type=event_type,
        created=now,
        object=content,
        source="internal",
        actor=actor,
        body=orjson.dumps(content).decode(),
        received_at=now,
        names={"subscription": set(), "invoice": set(), "customer": set()},
    )
