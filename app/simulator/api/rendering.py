"""Objects in an answer: those that only the API shows, and what `expand` puts in the place of ids."""

from ..model import CheckoutSession, Customer, Event, WebhookEndpoint
from ..prices import render_price
from ..render import render, render_event
from ..shapes import OLD, Json, Shape
from .call import Call, Found

DEEPEST = 4


def show(call: Call, found: Found) -> Json:
    """An object in the request's version; an event in the account's, in which Stripe rendered it for good."""
    livemode = call.account.livemode
    match found:
        case Event():
            content = render_event(found, call.api_version, livemode=livemode)
            return content | {"pending_webhooks": int(found.id in call.account.undelivered)}
        case WebhookEndpoint():
            return render_endpoint(found, livemode)
        case Customer(deleted=True):
            return {"id": found.id, "object": "customer", "deleted": True}
        case _:
            return render(found, call.shape, livemode=livemode)


def render_endpoint(endpoint: WebhookEndpoint, livemode: bool) -> Json:
    """Without the secret, which is shown once."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": livemode,
        "metadata": dict(endpoint.metadata),
        "status": endpoint.status,
        "url": endpoint.url,
    }


def render_line_items(session: CheckoutSession, shape: Shape) -> Json:
    """What a checkout session sells; Stripe shows it where it is asked for."""
    lines = []
    for number, (price, quantity) in enumerate(session.line_items):
        total = 0 if session.trial_days else price.unit_amount * quantity
        line: Json = {
            "id": f"li_{number}{session.id[-22:]}",
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": total,
            "amount_tax": 0,
            "amount_total": total,
            "currency": price.currency,
            "description": price.product,
            "price": render_price(price),
            "quantity": quantity,
        }
        lines.append(line if shape == OLD else line | {"adjustable_quantity": None, "metadata": {}})
    url = f"/v1/checkout/sessions/{session.id}/line_items"
    return {"object": "list", "data": lines, "has_more": False, "url": url}
