"""The billing portal: configurations, sessions with or without a flow, and a page that leads back."""

from html import escape
from typing import Any

from ..account import Account
from ..shapes import Json
from .call import Call, PortalPage
from .errors import invalid, missing
from .resources import Resource
from .typed import typed

PAGE = "/p/session/"
HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Billing</title>'
    '<link rel="icon" href="data:,">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<style>:root { color-scheme: light dark } "
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; "
    "overflow-wrap: anywhere }</style>"
)
PARAMS = ("customer", "return_url", "configuration", "locale", "flow_data")
FLOWS = {
    "payment_method_update": "Add or change the card",
    "subscription_cancel": "Cancel the subscription",
    "subscription_update": "Change the subscription",
    "subscription_update_confirm": "Confirm the change of the subscription",
}
"""What a session may be for, and what its page says then."""

FEATURES: Json = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def _configuration(call: Call, params: Json) -> Json:
    given: dict[str, Any] = params.get("features") or {}
    features = {name: default | (given.get(name) or {}) for name, default in FEATURES.items()}
    business = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
    return params | {
        "business_profile": business | (params.get("business_profile") or {}),
        "features": features,
        "login_page": {"enabled": False, "url": None} | (params.get("login_page") or {}),
        "metadata": dict(params.get("metadata") or {}),
        "updated": call.account.now,
    }


def _changed_configuration(call: Call, params: Json) -> Json:
    before = CONFIGURATIONS.found(call).content
    for name in ("features", "business_profile", "login_page"):
        if params.get(name) is not None:
            merged = dict(before[name])
            for key, value in params[name].items():
                merged[key] = merged[key] | value if isinstance(value, dict) else value
            params[name] = merged
    return params | {"updated": call.account.now}


CONFIGURATION_MEMBERS = (
    "business_profile",
    "default_return_url",
    "features",
    "login_page",
    "metadata",
    "name",
)
CONFIGURATIONS = Resource(
    "configuration",
    "billing_portal.configuration",
    "bpc",
    {
        "active": True,
        "application": None,
        "default_return_url": None,
        "is_default": False,
        "name": None,
    },
    CONFIGURATION_MEMBERS,
    (*CONFIGURATION_MEMBERS, "active"),
    required=("features",),
    filters=("active", "is_default"),
    event="billing_portal.configuration",
    fill=_configuration,
    change=_changed_configuration,
)


def create_portal(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for what Stripe refuses.
    """
    params, account = typed(call, PARAMS), call.account
    if params.get("customer") is None:
        raise missing("customer")
    customer = call.living_customer(params["customer"], "customer")
    configuration = params.get("configuration")
    if configuration is not None:
        CONFIGURATIONS.found(call, configuration, "configuration")
    flow = _flow(call, params.get("flow_data"), customer.id)
    back, id = params.get("return_url"), account.new_id("bps")
    call.portals[id] = PortalPage(customer.id, back, flow["type"] if flow else None)
    return {
        "id": id,
        "object": "billing_portal.session",
        "after_expiration": None,
        "configuration": configuration or "bpc_1simulated",
        "created": account.now,
        "customer": customer.id,
        "customer_account": None,
        "flow": flow,
        "livemode": account.livemode,
        "locale": params.get("locale"),
        "on_behalf_of": None,
        "return_url": back,
        "url": f"{call.base_url}{PAGE}{id}",
    }


def _flow(call: Call, given: Any, customer: str) -> Json | None:
    """The one task that a session is for, with its subscription checked."""
    if given is None:
        return None
    kind = given.get("type")
    if kind not in FLOWS:
        raise invalid(f"Invalid flow_data[type]: must be one of {', '.join(FLOWS)}", "flow_data[type]")
    after = given.get("after_completion") or {"type": "portal_homepage"}
    flow: Json = {"after_completion": {"hosted_confirmation": None, "redirect": None} | after, "type": kind}
    flow |= {other: given.get(other) for other in FLOWS if other != "payment_method_update"}
    if kind != "payment_method_update":
        _check_subscription(call, kind, given.get(kind) or {}, customer)
    return flow


def _check_subscription(call: Call, kind: str, given: Json, customer: str) -> None:
    """
    Raises:
        ApiError: 400 where the flow's subscription is missing, another customer's, or not to be changed.
    """
    at = f"flow_data[{kind}][subscription]"
    if given.get("subscription") is None:
        raise missing(at)
    subscription = call.subscription(given["subscription"], at)
    if subscription.customer != customer:
        raise invalid("The subscription is not the customer's.", at)
    if subscription.ended_at is not None or (kind == "subscription_cancel" and subscription.cancel_at):
        raise invalid(f"This subscription is already canceled: the flow {kind} is not for it.", at)
    if subscription.schedule is not None:
        raise invalid(
            f"The subscription is managed by the subscription schedule `{subscription.schedule}` and cannot "
            "be changed in the portal.",
            at,
        )
    if kind == "subscription_update_confirm" and not given.get("items"):
        raise missing(f"flow_data[{kind}][items]")


def portal_page(account: Account, shown: PortalPage) -> str:
    """HTML: the customer's subscriptions, what the session is for, and the way back."""
    rows = "".join(
        f"<li>{escape(', '.join(item.price.id for item in subscription.items))}: {subscription.status}</li>"
        for subscription in account.subscriptions.values()
        if subscription.customer == shown.customer
    )
    back = f'<p><a href="{escape(shown.return_url)}">Return</a></p>' if shown.return_url else ""
    about = "<p>The simulator’s portal: Stripe’s has cards and invoices.</p>"
    task = f"<p>{FLOWS[shown.flow]}.</p>" if shown.flow else ""
    return f"{HEAD}<h1>Billing</h1>{about}{task}<ul>{rows}</ul>{back}"
