"""Objects and events as Stripe renders them, in a version before 2025-03-31.basil or in the newest."""

import json
from contextlib import suppress
from copy import deepcopy
from typing import Any

import orjson

from . import charges, invoices, objects, prices, sessions
from .differences import difference
from .model import (
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Entity,
    Event,
    Invoice,
    Price,
    Record,
    Subscription,
)
from .shapes import NEW, OLD, Json, Shape

__all__ = ["NEW", "OLD", "Json", "Shape", "difference", "event_body", "render", "render_event"]


def event_body(
    event: Event,
    shape: Shape,
    *,
    livemode: bool = False,
    account: str | None = None,
    context: str | None = None,
) -> bytes:
    """The bytes of a webhook delivery, indented as Stripe indents them."""
    content = render_event(event, shape, livemode=livemode, account=account, context=context)
    with suppress(TypeError):  # a number of more than 64 bits, or half a surrogate pair
        body = orjson.dumps(content, option=orjson.OPT_INDENT_2)  # in a tenth of the time
        if body.isascii():
            return body
    return json.dumps(content, indent=2).encode()


def render_event(
    event: Event,
    shape: Shape,
    *,
    livemode: bool = False,
    account: str | None = None,
    context: str | None = None,
) -> Json:
    """The event in one API version, with true `previous_attributes` where Stripe gives them.

    `account`: the connected account that it is of, for a Connect endpoint. `context`: the account that it is
    of, for an organization's destination.
    """
    content = render(event.after, shape, livemode=livemode)
    data: Json = {"object": content}
    if event.before is not None:
        data["previous_attributes"] = difference(render(event.before, shape, livemode=livemode), content)
    origin = {"account": account, "context": context}
    return {name: value for name, value in origin.items() if value is not None} | {
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


def render(entity: Entity, shape: Shape, *, livemode: bool = False) -> Json:
    """One object in one API version."""
    content = _render(entity, shape)
    return _live(content) if livemode else content


def _render(entity: Entity, shape: Shape) -> Json:
    match entity:
        case Record():
            return deepcopy(entity.content)
        case Customer():
            return objects.render_customer(entity, shape)
        case Subscription():
            return objects.render_subscription(entity, shape)
        case Invoice():
            return invoices.render_invoice(entity, shape)
        case CheckoutSession():
            return sessions.render_checkout_session(entity, shape)
        case Price():
            return prices.render_price(entity)
        case Charge():
            return charges.render_charge(entity, shape)
        case Dispute():
            return charges.render_dispute(entity, shape)


def _live(value: Any) -> Any:
    """The same in live mode, to the innermost price."""
    if isinstance(value, dict):
        return {key: True if key == "livemode" else _live(inner) for key, inner in value.items()}
    return [_live(inner) for inner in value] if isinstance(value, list) else value
