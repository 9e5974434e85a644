"""Nested lists, of which an object shows the first ten: each is listed whole at an address of its own."""

from ..invoices import render_line
from ..objects import render_item
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, no_such
from .listing import envelope, limit_of

CURSORS = ("limit", "starting_after")


def list_subscription_items(call: Call) -> Json:
    forms.known(call.params, (*CURSORS, "subscription"))
    id = forms.text(call.params, "subscription")
    if id is None:
        raise invalid("Missing required param: subscription.", "subscription")
    subscription = call.subscription(id, "subscription")
    return _page(call, [render_item(item, subscription.id, call.shape) for item in subscription.items])


def list_invoice_lines(call: Call) -> Json:
    forms.known(call.params, CURSORS)
    invoice = call.invoice()
    return _page(call, [render_line(line, invoice, call.shape) for line in invoice.lines])


def _page(call: Call, entries: list[Json]) -> Json:
    """The page that the request asks for, in the order of the object."""
    limit, after = limit_of(call), forms.text(call.params, "starting_after")
    ids = [entry["id"] for entry in entries]
    if after is not None and after not in ids:
        raise no_such("entry", after, param="starting_after", status=400)
    first = ids.index(after) + 1 if after is not None else 0
    shown = entries[first : first + limit]
    return envelope(call.path, shown, has_more=len(entries) > first + limit)
