"""Where an object is in Stripe's Dashboard."""

from .formatting import encoded

DASHBOARD = "https://dashboard.stripe.com"
FOLDERS = {"cus": "customers", "sub": "subscriptions", "in": "invoices", "evt": "events"}


def dashboard_url(object_id: str | None, livemode: bool | None) -> str | None:
    """The object's page; None for an id that Stripe does not show. Of test mode unless it is live."""
    prefix, mark, _ = (object_id or "").partition("_")
    if not mark or prefix not in FOLDERS:
        return None
    mode = "" if livemode else "/test"
    return f"{DASHBOARD}{mode}/{FOLDERS[prefix]}/{encoded(object_id)}"
