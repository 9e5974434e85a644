"""Which function answers which request."""

import re
from collections.abc import Callable

from ..shapes import Json
from . import (
    accounts,
    charges,
    checkouts,
    coupons,
    customers,
    destinations,
    endpoints,
    invoices,
    items,
    nested,
    payment_methods,
    portal,
    previews,
    products,
    reads,
    schedules,
    search,
    subscriptions,
    tax,
    test_clocks,
    v2,
)
from .call import Call
from .errors import ApiError
from .resources import Resource

Handler = Callable[[Call], Json]
Routes = dict[tuple[str, str], Handler]


def _crud(path: str, resource: Resource, *verbs: str) -> Routes:
    """The routes of a kind of object, for these of the verbs create, list, get, update and delete."""
    routes: dict[str, tuple[tuple[str, str], Handler]] = {
        "create": (("POST", path), resource.create),
        "list": (("GET", path), resource.list),
        "get": (("GET", f"{path}/{{id}}"), resource.get),
        "update": (("POST", f"{path}/{{id}}"), resource.update),
        "delete": (("DELETE", f"{path}/{{id}}"), resource.delete),
    }
    return dict(routes[verb] for verb in verbs or tuple(routes))


SEARCHES: Routes = {
    ("GET", "/v1/customers/search"): search.search_customers,
    ("GET", "/v1/subscriptions/search"): search.search_subscriptions,
    ("GET", "/v1/invoices/search"): search.search_invoices,
    ("GET", "/v1/prices/search"): search.search_prices,
    ("GET", "/v1/products/search"): search.search_products,
}
CUSTOMERS: Routes = {
    ("GET", "/v1/customers"): reads.list_customers,
    ("GET", "/v1/customers/{id}"): reads.get_customer,
    ("POST", "/v1/customers"): customers.create_customer,
    ("POST", "/v1/customers/{id}"): customers.update_customer,
    ("DELETE", "/v1/customers/{id}"): customers.delete_customer,
    ("DELETE", "/v1/customers/{id}/discount"): coupons.delete_customer_discount,
    ("GET", "/v1/customers/{id}/payment_methods"): payment_methods.list_of_customer,
    ("GET", "/v1/customers/{id}/payment_methods/{id}"): payment_methods.get_of_customer,
    ("GET", "/v1/customers/{id}/tax_ids"): tax.list_of_customer,
    ("POST", "/v1/customers/{id}/tax_ids"): tax.create_of_customer,
    ("GET", "/v1/customers/{id}/tax_ids/{id}"): tax.get_of_customer,
    ("DELETE", "/v1/customers/{id}/tax_ids/{id}"): tax.delete_of_customer,
    ("GET", "/v1/customers/{id}/balance_transactions"): customers.TRANSACTIONS.list,
    ("POST", "/v1/customers/{id}/balance_transactions"): customers.create_balance_transaction,
    ("GET", "/v1/customers/{id}/balance_transactions/{id}"): customers.get_balance_transaction,
}
SUBSCRIPTIONS: Routes = {
    ("GET", "/v1/subscriptions"): reads.list_subscriptions,
    ("GET", "/v1/subscriptions/{id}"): reads.get_subscription,
    ("POST", "/v1/subscriptions"): subscriptions.create_subscription,
    ("POST", "/v1/subscriptions/{id}"): subscriptions.update_subscription,
    ("DELETE", "/v1/subscriptions/{id}"): subscriptions.cancel_subscription,
    ("POST", "/v1/subscriptions/{id}/pause"): subscriptions.pause_subscription,
    ("POST", "/v1/subscriptions/{id}/resume"): subscriptions.resume_subscription,
    ("DELETE", "/v1/subscriptions/{id}/discount"): coupons.delete_subscription_discount,
    ("GET", "/v1/subscription_items"): nested.list_subscription_items,
    ("GET", "/v1/subscription_items/{id}"): items.get_item,
    ("POST", "/v1/subscription_items"): items.create_item,
    ("POST", "/v1/subscription_items/{id}"): items.update_item,
    ("DELETE", "/v1/subscription_items/{id}"): items.delete_item,
    ("POST", "/v1/subscription_schedules"): schedules.create_schedule,
    ("POST", "/v1/subscription_schedules/{id}"): schedules.update_schedule,
    ("POST", "/v1/subscription_schedules/{id}/release"): schedules.release_schedule,
    ("POST", "/v1/subscription_schedules/{id}/cancel"): schedules.cancel_schedule,
    **_crud("/v1/subscription_schedules", schedules.SCHEDULES, "list", "get"),
}
INVOICES: Routes = {
    ("POST", "/v1/invoices/create_preview"): previews.create_preview,
    ("GET", "/v1/invoices"): reads.list_invoices,
    ("GET", "/v1/invoices/{id}"): reads.get_invoice,
    ("POST", "/v1/invoices"): invoices.create_invoice,
    ("POST", "/v1/invoices/{id}"): invoices.update_invoice,
    ("DELETE", "/v1/invoices/{id}"): invoices.delete_invoice,
    ("GET", "/v1/invoices/{id}/lines"): nested.list_invoice_lines,
    ("POST", "/v1/invoices/{id}/finalize"): invoices.finalize_invoice,
    ("POST", "/v1/invoices/{id}/pay"): invoices.pay_invoice,
    ("POST", "/v1/invoices/{id}/send"): invoices.send_invoice,
    ("POST", "/v1/invoices/{id}/void"): invoices.void_invoice,
    ("POST", "/v1/invoices/{id}/mark_uncollectible"): invoices.mark_uncollectible,
    **_crud("/v1/invoiceitems", invoices.INVOICE_ITEMS),
    ("GET", "/v1/invoice_payments"): charges.list_invoice_payments,
    ("GET", "/v1/invoice_payments/{id}"): charges.get_invoice_payment,
    ("GET", "/v1/payment_intents"): charges.list_payment_intents,
    ("GET", "/v1/payment_intents/{id}"): charges.get_payment_intent,
    ("GET", "/v1/charges"): charges.list_charges,
    ("GET", "/v1/charges/{id}"): charges.get_charge,
    ("GET", "/v1/disputes"): charges.list_disputes,
    ("GET", "/v1/disputes/{id}"): charges.get_dispute,
    ("POST", "/v1/refunds"): charges.create_refund,
    **_crud("/v1/refunds", charges.REFUNDS, "list", "get", "update"),
    **_crud("/v1/credit_notes", charges.CREDIT_NOTES, "create", "list", "get", "update"),
    ("POST", "/v1/credit_notes/{id}/void"): charges.void_credit_note,
    **_crud("/v1/radar/early_fraud_warnings", charges.FRAUD_WARNINGS, "list", "get"),
}
SELLING: Routes = {
    **_crud("/v1/products", products.PRODUCTS),
    ("GET", "/v1/prices"): products.list_prices,
    ("GET", "/v1/prices/{id}"): products.get_price,
    ("POST", "/v1/prices"): products.create_price,
    ("POST", "/v1/prices/{id}"): products.update_price,
    **_crud("/v1/coupons", coupons.COUPONS),
    **_crud("/v1/promotion_codes", coupons.PROMOTION_CODES, "create", "list", "get", "update"),
    **_crud("/v1/tax_ids", tax.TAX_IDS, "create", "list", "get", "delete"),
    **_crud("/v1/tax_rates", tax.TAX_RATES, "create", "list", "get", "update"),
    **_crud("/v1/payment_methods", payment_methods.PAYMENT_METHODS, "create", "list", "update"),
    ("GET", "/v1/payment_methods/{id}"): payment_methods.get_payment_method,
    ("POST", "/v1/payment_methods/{id}/attach"): payment_methods.attach,
    ("POST", "/v1/payment_methods/{id}/detach"): payment_methods.detach,
    **_crud("/v1/setup_intents", payment_methods.SETUP_INTENTS, "create", "list", "get", "update"),
    ("POST", "/v1/setup_intents/{id}/confirm"): payment_methods.confirm_setup_intent,
    ("POST", "/v1/setup_intents/{id}/cancel"): payment_methods.cancel_setup_intent,
    ("GET", "/v1/checkout/sessions"): reads.list_sessions,
    ("GET", "/v1/checkout/sessions/{id}"): reads.get_session,
    ("GET", "/v1/checkout/sessions/{id}/line_items"): reads.get_line_items,
    ("POST", "/v1/checkout/sessions"): checkouts.create_session,
    ("POST", "/v1/checkout/sessions/{id}"): checkouts.update_session,
    ("POST", "/v1/checkout/sessions/{id}/expire"): checkouts.expire_session,
    ("POST", "/v1/billing_portal/sessions"): portal.create_portal,
    **_crud("/v1/billing_portal/configurations", portal.CONFIGURATIONS, "create", "list", "get", "update"),
}
ACCOUNT: Routes = {
    ("GET", "/v1/account"): accounts.get_account,
    ("GET", "/v1/accounts/{id}"): accounts.get_account,
    ("GET", "/v1/balance"): accounts.get_balance,
    ("GET", "/v1/events"): reads.list_events,
    ("GET", "/v1/events/{id}"): reads.get_event,
    ("GET", "/v1/webhook_endpoints"): reads.list_endpoints,
    ("GET", "/v1/webhook_endpoints/{id}"): reads.get_endpoint,
    ("POST", "/v1/webhook_endpoints"): endpoints.create_endpoint,
    ("POST", "/v1/webhook_endpoints/{id}"): endpoints.update_endpoint,
    ("DELETE", "/v1/webhook_endpoints/{id}"): endpoints.delete_endpoint,
    **_crud("/v1/test_helpers/test_clocks", test_clocks.TEST_CLOCKS, "create", "list", "get", "delete"),
    ("POST", "/v1/test_helpers/test_clocks/{id}/advance"): test_clocks.advance_clock,
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

ROUTES: Routes = {**SEARCHES, **CUSTOMERS, **SUBSCRIPTIONS, **INVOICES, **SELLING, **ACCOUNT}
"""The first that fits answers: `/search` before ids."""

_PATTERNS = [
    (method, re.compile(path.replace("{id}", "([^/]+)")), path, handler)
    for (method, path), handler in ROUTES.items()
]


def route(method: str, path: str) -> tuple[str, tuple[str, ...], Handler]:
    """The route as it stands above, the ids in the path, and who answers; `(unknown)` has a 404."""
    for wanted, pattern, name, handler in _PATTERNS:
        if wanted == method and (found := pattern.fullmatch(path)):
            return name, found.groups(), handler
    return "(unknown)", (), _unrecognized(method, path)


def _unrecognized(method: str, path: str) -> Handler:
    def handler(call: Call) -> Json:
        raise ApiError(404, f"Unrecognized request URL ({method}: {path}). The simulator has no such route.")

    return handler
