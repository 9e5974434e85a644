"""Nested lists, of which an object shows the first ten: each is listed whole at an address of its own."""

from ..invoices import render_line
from ..objects import render_item
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, no_such
from .expansion import expand
from .listing import envelope, limit_of

CURSORS = ("limit", "starting_after", "ending_before", "expand")


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
    limit = limit_of(call)
    after, before = forms.text(call.params, "starting_after"), forms.text(call.params, "ending_before")
    if after and before:
        raise invalid(
            "You may only specify one of these parameters: starting_after, ending_before.", "starting_after"
        )
    ids = [entry["id"] for entry in entries]
    for name, id in (("starting_after", after), ("ending_before", before)):
        if id is not None and id not in ids:
            raise no_such("entry", id, param=name, status=400)
    if before is not None:
        end = ids.index(before)
        first, more = max(0, end - limit), end > limit
    else:
        first = ids.index(after) + 1 if after is not None else 0
        end = first + limit
        more = len(entries) > end
    content = envelope(call.path, entries[first:end], has_more=more)
    return expand(call, content, forms.texts(call.params, "expand"))
