"""Objects in an answer: those that only the API shows, and what `expand` puts in the place of ids."""

from typing import Any

from ..model import CheckoutSession, Customer, Event, WebhookEndpoint
from ..objects import render_price
from ..render import render, render_event
from ..shapes import OLD, Json, Shape
from .call import Call, Found
from .catalogue import Product
from .errors import invalid

DEEPEST = 4


def show(call: Call, found: Found) -> Json:
    """An object in the request's version; an event in the account's, in which Stripe rendered it for good."""
    livemode = call.account.livemode
    match found:
        case Event():
            content = render_event(found, call.api_version, livemode=livemode)
            return content | {"pending_webhooks": int(found.id in call.account.undelivered)}
        case Product():
            return render_product(found, livemode)
        case WebhookEndpoint():
            return render_endpoint(found, livemode)
        case Customer(deleted=True):
            return {"id": found.id, "object": "customer", "deleted": True}
        case _:
            return render(found, call.shape, livemode=livemode)


def render_product(product: Product, livemode: bool) -> Json:
    return {
        "id": product.id,
        "object": "product",
        "active": True,
        "created": product.created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": livemode,
        "marketing_features": [],
        "metadata": {},
        "name": product.name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": product.created,
        "url": None,
    }


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


def expand(call: Call, content: Json, paths: list[str]) -> Json:
    """Put objects in the place of their ids, along paths such as `data.latest_invoice.customer`.

    Raises:
        ApiError: 400 for a path that leads to no id, or is over four levels deep.
    """
    for path in paths:
        keys = path.split(".")
        if len(keys) > DEEPEST + (keys[0] == "data"):
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property: {path}", "expand")
        _expand(call, content, keys, path)
    return content


def _expand(call: Call, holder: Any, keys: list[str], path: str) -> None:
    if holder is None or not keys:
        return
    if isinstance(holder, list):
        for entry in holder:
            _expand(call, entry, keys, path)
        return
    key, *rest = keys
    if key == "line_items" and holder.get("object") == "checkout.session":
        holder[key] = render_line_items(call.account.sessions[holder["id"]], call.shape)
    if key not in holder:
        raise _not_expandable(path)
    value = holder[key]
    if isinstance(value, str):
        holder[key] = show(call, _named(call, value, path))
    elif not _leads_on(value, last=not rest):
        raise _not_expandable(path)
    _expand(call, holder[key], rest, path)


def _leads_on(value: Any, *, last: bool) -> bool:
    """A list or hash on the way, or nothing; at the end only what is an object already."""
    return (
        value is None
        or isinstance(value, list)
        or (isinstance(value, dict) and not (last and "object" not in value))
    )


def _named(call: Call, id: str, path: str) -> Found:
    account = call.account
    tables = (account.customers, account.subscriptions, account.invoices, account.prices)
    for table in (*tables, call.catalogue.products):
        if id in table:
            found: Found = table[id]
            return found
    raise _not_expandable(path)


def _not_expandable(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", "expand")
