"""Checkout sessions: opened over the API, completed on the page behind their `url`."""

from ..account import Account
from ..model import CheckoutSession, Subscription
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid
from .rendering import expand, show
from .subscriptions import priced_items

PARAMS = (
    "mode",
    "customer",
    "customer_email",
    "line_items",
    "client_reference_id",
    "metadata",
    "subscription_data",
    "success_url",
    "cancel_url",
    "expand",
)
WITHOUT_EFFECT = (
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "currency",
    "customer_update",
    "locale",
    "payment_method_collection",
    "payment_method_types",
    "tax_id_collection",
    "ui_mode",
)
HOSTED = ("hosted", "hosted_page")
SUBSCRIPTION_DATA = ("metadata", "trial_period_days", "description")
PAGE = "/c/pay/"


def create_session(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for another mode than `subscription`, or what Stripe refuses.
    """
    params = call.params
    forms.known(params, (*PARAMS, *WITHOUT_EFFECT))
    _require_known_mode(call)
    data = forms.hashed(params, "subscription_data")
    forms.known(data, SUBSCRIPTION_DATA, "subscription_data")
    trial = forms.integer(data, "trial_period_days", prefix="subscription_data")
    if trial is not None and trial < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")
    session = call.account.open_checkout(
        priced_items(call, "line_items"),
        customer=_customer(call),
        customer_email=forms.text(params, "customer_email"),
        client_reference_id=forms.text(params, "client_reference_id"),
        metadata=forms.merged_metadata(params, {}),
        subscription_metadata=forms.merged_metadata(data, {}),
        trial_days=trial or 0,
        success_url=_success_url(call),
        cancel_url=forms.text(params, "cancel_url"),
    )
    session.url = f"{call.base_url}{PAGE}{session.id}"
    return _answer(call, session)


def expire_session(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    session = call.session()
    try:
        call.account.expire_checkout(session)
    except ValueError:
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f"status of `{session.status}`."
        ) from None
    return _answer(call, session)


def complete_checkout(account: Account, session_id: str) -> Subscription:
    """What the buyer does on the page behind the session's `url`; once done, it stays done.

    Raises:
        KeyError: for a session that there is not.
        ValueError: for one that has expired.
    """
    return account.pay_checkout(account.sessions[session_id])


def success_address(session: CheckoutSession) -> str:
    """Where the buyer goes afterwards."""
    return session.success_url.replace("{CHECKOUT_SESSION_ID}", session.id)


def _require_known_mode(call: Call) -> None:
    if forms.required(call.params, "mode") != "subscription":
        raise invalid("The simulator knows only the mode `subscription`.", "mode")
    if call.params.get("ui_mode", HOSTED[0]) not in HOSTED:
        raise invalid("The simulator knows only hosted pages.", "ui_mode")


def _customer(call: Call) -> str | None:
    id = forms.text(call.params, "customer")
    if id is None:
        return None
    if forms.text(call.params, "customer_email") is not None:
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    return call.living_customer(id, "customer").id


def _success_url(call: Call) -> str:
    address = forms.required(call.params, "success_url")
    if "://" not in address:
        raise invalid("Not a valid URL", "success_url", "url_invalid")
    return address


def _answer(call: Call, session: CheckoutSession) -> Json:
    return expand(call, show(call, session), forms.texts(call.params, "expand"))
