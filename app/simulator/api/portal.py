"""The billing portal: a session, and a page that leads back."""

from html import escape

from ..account import Account
from ..shapes import Json
from . import forms
from .call import Call, PortalPage

PAGE = "/p/session/"
HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Billing</title>'
    '<link rel="icon" href="data:,">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<style>:root { color-scheme: light dark } "
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; "
    "overflow-wrap: anywhere }</style>"
)
PARAMS = ("customer", "return_url", "configuration", "locale", "flow_data", "expand")


def create_portal(call: Call) -> Json:
    params, account = call.params, call.account
    forms.known(params, PARAMS)
    customer = call.living_customer(forms.required(params, "customer"), "customer")
    back, id = forms.text(params, "return_url"), account.new_id("bps")
    call.portals[id] = PortalPage(customer.id, back)
    return {
        "id": id,
        "object": "billing_portal.session",
        "configuration": "bpc_1simulated",
        "created": account.now,
        "customer": customer.id,
        "customer_account": None,
        "flow": None,
        "livemode": account.livemode,
        "locale": None,
        "on_behalf_of": None,
        "return_url": back,
        "url": f"{call.base_url}{PAGE}{id}",
    }


def portal_page(account: Account, shown: PortalPage) -> str:
    """HTML: the customer's subscriptions, and the way back."""
    rows = "".join(
        f"<li>{escape(', '.join(item.price.id for item in subscription.items))}: {subscription.status}</li>"
        for subscription in account.subscriptions.values()
        if subscription.customer == shown.customer
    )
    back = f'<p><a href="{escape(shown.return_url)}">Return</a></p>' if shown.return_url else ""
    about = "<p>The simulator’s portal: Stripe’s has cards and invoices.</p>"
    return f"{HEAD}<h1>Billing</h1>{about}<ul>{rows}</ul>{back}"
