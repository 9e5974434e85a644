"""What can be read: each noun's list and its objects."""

from fnmatch import fnmatchcase

from ..shapes import Json
from . import forms
from .call import Call, Found
from .errors import invalid
from .expansion import answer, expand
from .index import Facet
from .listing import Selection, page
from .rendering import render_line_items

STATUSES = (
    "active",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)
ENDED = ("canceled", "incomplete_expired")
INVOICE_STATUSES = ("draft", "open", "paid", "uncollectible", "void")
SESSION_STATUSES = ("open", "complete", "expired")
MOST_TYPES = 20


def one(call: Call, found: Found) -> Json:
    """An object, as the request wants it expanded.

    Raises:
        ApiError: 400 for an unknown parameter, or one that cannot be expanded.
    """
    forms.known(call.params, ("expand",))
    return answer(call, found)


def get_customer(call: Call) -> Json:
    return one(call, call.customer())


def get_subscription(call: Call) -> Json:
    return one(call, call.subscription())


def get_invoice(call: Call) -> Json:
    return one(call, call.invoice())


def get_event(call: Call) -> Json:
    return one(call, call.event())


def get_session(call: Call) -> Json:
    return one(call, call.session())


def get_line_items(call: Call) -> Json:
    forms.known(call.params, ("limit", "expand"))
    content = render_line_items(call.session(), call.shape)
    return expand(call, content, forms.texts(call.params, "expand"))


def get_endpoint(call: Call) -> Json:
    return one(call, call.endpoint())


def list_customers(call: Call) -> Json:
    """Without those that are deleted."""
    index = call.catalogue.customers_index
    every = [("deleted", False), *_facets(call, "email")]
    return page(call, "customer", Selection(index, every), call.account.customers.__getitem__, ("email",))


def list_subscriptions(call: Call) -> Json:
    """All that are not canceled, if no status is asked for."""
    status = forms.text(call.params, "status")
    _customer_exists(call)
    if (price := forms.text(call.params, "price")) is not None:
        call.price(price, "price")
    if status is None:
        wanted: tuple[str, ...] = tuple(status for status in STATUSES if status != "canceled")
    elif status == "ended":
        wanted = ENDED
    else:
        wanted = STATUSES if status == "all" else (_one_of("status", status, (*STATUSES, "all", "ended")),)
    either = [("status", status) for status in wanted] if status != "all" else None
    selection = Selection(call.catalogue.subscriptions_index, _facets(call, "customer", "price"), either)
    filters = ("customer", "price", "status")
    return page(call, "subscription", selection, call.account.subscriptions.__getitem__, filters)


def list_invoices(call: Call) -> Json:
    filters = ("customer", "subscription", "status")
    _customer_exists(call)
    _one_of("status", forms.text(call.params, "status"), INVOICE_STATUSES)
    invoices = call.account.invoices  # a draft that was deleted is in the index alone
    facets = _facets(call, *filters)
    selection = Selection(call.catalogue.invoices_index, facets, allows=invoices.__contains__)
    return page(call, "invoice", selection, invoices.__getitem__, filters)


def list_sessions(call: Call) -> Json:
    filters = ("customer", "subscription", "status")
    _one_of("status", forms.text(call.params, "status"), SESSION_STATUSES)
    selection = Selection(call.catalogue.sessions_index, _facets(call, *filters))
    return page(call, "checkout.session", selection, call.account.sessions.__getitem__, filters)


def list_endpoints(call: Call) -> Json:
    selection = Selection(call.catalogue.endpoints_index())
    return page(call, "webhook endpoint", selection, call.account.endpoints.__getitem__)


def list_events(call: Call) -> Json:
    """Those of the last 30 days."""
    index, undelivered = call.catalogue.events_index, call.account.undelivered
    delivered = forms.boolean(call.params, "delivery_success")
    failed = (
        sorted(index.places[id] for id in undelivered if id in index.places) if delivered is False else None
    )
    selection = Selection(
        index,
        either=_types(call),
        runs=None if failed is None else [failed],
        allows=lambda id: delivered is None or (id not in undelivered) == delivered,
        since=call.oldest_event,
    )
    filters = ("type", "types", "delivery_success")
    return page(call, "event", selection, call.catalogue.events.__getitem__, filters)


def _types(call: Call) -> list[Facet] | None:
    """`type` may have stars (`invoice.*`); `types` are exact."""
    one, several = forms.text(call.params, "type"), forms.texts(call.params, "types")
    if one is not None and several:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    if len(several) > MOST_TYPES:
        raise invalid(f"You may pass up to {MOST_TYPES} event types.", "types")
    if one is None and not several:
        return None
    if one is None:
        return [("type", name) for name in dict.fromkeys(several)]
    known = call.catalogue.events_index.values("type")
    return [("type", name) for name in known if fnmatchcase(name, one)]


def _facets(call: Call, *names: str) -> list[Facet]:
    return [(name, value) for name in names if (value := forms.text(call.params, name)) is not None]


def _one_of(param: str, value: str | None, values: tuple[str, ...]) -> str:
    if value is not None and value not in values:
        raise invalid(f"Invalid {param}: must be one of {', '.join(values)}", param)
    return value or ""


def _customer_exists(call: Call) -> None:
    if (id := forms.text(call.params, "customer")) is not None:
        call.customer(id, "customer")
