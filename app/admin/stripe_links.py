"""Links into Stripe's Dashboard."""

from .formatting import encoded

DASHBOARD = "https://dashboard.stripe.com"
FOLDERS = {"cus": "customers", "sub": "subscriptions", "in": "invoices", "evt": "events"}


def dashboard_url(object_id: str | None, livemode: bool | None) -> str | None:
    """The object's page, in test mode unless `livemode`; None for an id that has no page there."""
    prefix, mark, _ = (object_id or "").partition("_")
    if not mark or prefix not in FOLDERS:
        return None
    mode = "" if livemode else "/test"
    return f"{DASHBOARD}{mode}/{FOLDERS[prefix]}/{encoded(object_id)}"
