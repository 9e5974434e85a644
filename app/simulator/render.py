"""Objects and events as Stripe renders them, in a version before 2025-03-31.basil or in the newest."""

import json
from datetime import UTC, datetime
from typing import Any

from . import charges, invoices, objects
from .model import Charge, CheckoutSession, Customer, Dispute, Entity, Event, Invoice, Price, Subscription
from .shapes import NEW, OLD, Json, Shape

__all__ = ["NEW", "OLD", "Json", "Shape", "difference", "event_body", "render", "render_event", "thin_event"]


def event_body(event: Event, shape: Shape, *, livemode: bool = False) -> bytes:
    """The bytes of a webhook delivery, indented as Stripe indents them."""
    return json.dumps(render_event(event, shape, livemode=livemode), indent=2).encode()


def render_event(event: Event, shape: Shape, *, livemode: bool = False) -> Json:
    """The event in one API version, with true `previous_attributes` where Stripe gives them."""
    content = render(event.after, shape, livemode=livemode)
    data: Json = {"object": content}
    if event.before is not None:
        data["previous_attributes"] = difference(render(event.before, shape, livemode=livemode), content)
    return {
        "id": event.id,
        "object": "event",
        "api_version": shape,
        "created": event.created,
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event.type,
    }


def thin_event(event: Event, *, livemode: bool = False) -> Json:
    """The same event as a thin one: it names the object and says nothing of it."""
    kind = render(event.after, NEW, livemode=livemode)["object"]
    return {
        "id": event.id,
        "object": "v2.core.event",
        "type": f"v1.{event.type}",
        "created": datetime.fromtimestamp(event.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": livemode,
        "related_object": {"id": event.after.id, "type": kind, "url": f"/v1/{kind}s/{event.after.id}"},
    }


def difference(before: Json, after: Json) -> Json:
    """`previous_attributes`: nested hashes hold only what changed, arrays are whole, absent is null."""
    changed: Json = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        nested = isinstance(old, dict) and isinstance(new, dict)
        changed[key] = difference(old, new) if nested else old  # type: ignore[arg-type]
    return changed


def render(entity: Entity, shape: Shape, *, livemode: bool = False) -> Json:
    """One object in one API version."""
    content = _render(entity, shape)
    return _live(content) if livemode else content


def _render(entity: Entity, shape: Shape) -> Json:
    match entity:
        case Customer():
            return objects.render_customer(entity)
        case Subscription():
            return objects.render_subscription(entity, shape)
        case Invoice():
            return invoices.render_invoice(entity, shape)
        case CheckoutSession():
            return objects.render_checkout_session(entity, shape)
        case Price():
            return objects.render_price(entity)
        case Charge():
            return charges.render_charge(entity, shape)
        case Dispute():
            return charges.render_dispute(entity)


def _live(value: Any) -> Any:
    """The same in live mode, to the innermost price."""
    if isinstance(value, dict):
        return {key: True if key == "livemode" else _live(inner) for key, inner in value.items()}
    return [_live(inner) for inner in value] if isinstance(value, list) else value
