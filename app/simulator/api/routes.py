"""Which function answers which request."""

import re
from collections.abc import Callable

from ..shapes import Json
from . import (
    accounts,
    charges,
    checkouts,
    customers,
    destinations,
    endpoints,
    nested,
    portal,
    reads,
    subscriptions,
    v2,
)
from .call import Call
from .errors import ApiError

Handler = Callable[[Call], Json]

ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/v1/customers"): reads.list_customers,
    ("GET", "/v1/customers/{id}"): reads.get_customer,
    ("POST", "/v1/customers"): customers.create_customer,
    ("POST", "/v1/customers/{id}"): customers.update_customer,
    ("DELETE", "/v1/customers/{id}"): customers.delete_customer,
    ("GET", "/v1/subscriptions"): reads.list_subscriptions,
    ("GET", "/v1/subscriptions/{id}"): reads.get_subscription,
    ("POST", "/v1/subscriptions"): subscriptions.create_subscription,
    ("POST", "/v1/subscriptions/{id}"): subscriptions.update_subscription,
    ("DELETE", "/v1/subscriptions/{id}"): subscriptions.cancel_subscription,
    ("GET", "/v1/invoices"): reads.list_invoices,
    ("GET", "/v1/invoices/{id}"): reads.get_invoice,
    ("GET", "/v1/invoices/{id}/lines"): nested.list_invoice_lines,
    ("GET", "/v1/subscription_items"): nested.list_subscription_items,
    ("GET", "/v1/events"): reads.list_events,
    ("GET", "/v1/events/{id}"): reads.get_event,
    ("GET", "/v1/prices"): reads.list_prices,
    ("GET", "/v1/prices/{id}"): reads.get_price,
    ("GET", "/v1/products"): reads.list_products,
    ("GET", "/v1/products/{id}"): reads.get_product,
    ("GET", "/v1/checkout/sessions"): reads.list_sessions,
    ("GET", "/v1/checkout/sessions/{id}"): reads.get_session,
    ("GET", "/v1/checkout/sessions/{id}/line_items"): reads.get_line_items,
    ("POST", "/v1/checkout/sessions"): checkouts.create_session,
    ("POST", "/v1/checkout/sessions/{id}/expire"): checkouts.expire_session,
    ("POST", "/v1/billing_portal/sessions"): portal.create_portal,
    ("GET", "/v1/webhook_endpoints"): reads.list_endpoints,
    ("GET", "/v1/webhook_endpoints/{id}"): reads.get_endpoint,
    ("POST", "/v1/webhook_endpoints"): endpoints.create_endpoint,
    ("POST", "/v1/webhook_endpoints/{id}"): endpoints.update_endpoint,
    ("DELETE", "/v1/webhook_endpoints/{id}"): endpoints.delete_endpoint,
    ("GET", "/v1/account"): accounts.get_account,
    ("GET", "/v1/accounts/{id}"): accounts.get_account,
    ("GET", "/v1/charges/{id}"): charges.get_charge,
    ("GET", "/v1/disputes/{id}"): charges.get_dispute,
    ("GET", "/v2/core/events"): v2.list_events,
    ("GET", "/v2/core/events/{id}"): v2.get_event,
    ("GET", "/v2/core/event_destinations"): destinations.list_destinations,
    ("GET", "/v2/core/event_destinations/{id}"): destinations.get_destination,
    ("POST", "/v2/core/event_destinations"): destinations.create_destination,
    ("POST", "/v2/core/event_destinations/{id}"): destinations.update_destination,
    ("POST", "/v2/core/event_destinations/{id}/enable"): destinations.enable_destination,
    ("POST", "/v2/core/event_destinations/{id}/disable"): destinations.disable_destination,
    ("POST", "/v2/core/event_destinations/{id}/ping"): destinations.ping_destination,
    ("DELETE", "/v2/core/event_destinations/{id}"): destinations.delete_destination,
}

_PATTERNS = [
    (method, re.compile(path.replace("{id}", "([^/]+)")), path, handler)
    for (method, path), handler in ROUTES.items()
]


def route(method: str, path: str) -> tuple[str, str, Handler]:
    """The route as it stands above, the id in the path (or ""), and who answers; `(unknown)` has a 404."""
    for wanted, pattern, name, handler in _PATTERNS:
        if wanted == method and (found := pattern.fullmatch(path)):
            return name, "".join(found.groups()), handler
    return "(unknown)", "", _unrecognized(method, path)


def _unrecognized(method: str, path: str) -> Handler:
    def handler(call: Call) -> Json:
        raise ApiError(404, f"Unrecognized request URL ({method}: {path}). The simulator has no such route.")

    return handler
