"""Checkout sessions: opened over the API, completed on the page behind their `url`."""

from ..account import Account
from ..cards import card_of
from ..model import DAY, CheckoutSession, Subscription
from ..shapes import Json
from . import coupons, forms
from .call import Call
from .errors import invalid
from .expansion import answer
from .subscriptions import priced_items
from .typed import typed_members

PARAMS = (
    "mode",
    "customer",
    "customer_email",
    "line_items",
    "client_reference_id",
    "discounts",
    "metadata",
    "redirect_on_completion",
    "return_url",
    "subscription_data",
    "success_url",
    "cancel_url",
    "currency",
    "customer_update",
    "ui_mode",
    "expires_at",
    "expand",
)
KEPT = (
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "locale",
    "payment_method_collection",
    "payment_method_types",
    "redirect_on_completion",
    "tax_id_collection",
)
"""Members that are kept and shown as they are given."""

DEFAULTS: dict[str, Json] = {
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "tax_id_collection": {"enabled": False, "required": "never"},
}
WITHOUT_EFFECT = (
    "branding_settings",
    "consent_collection",
    "custom_fields",
    "custom_text",
    "phone_number_collection",
    "saved_payment_method_options",
    "submit_type",
)
UI_MODES = {
    "hosted": "hosted",
    "hosted_page": "hosted",
    "embedded": "embedded",
    "embedded_page": "embedded",
}
"""As older and newer API versions call them."""

SUBSCRIPTION_DATA = (
    "metadata",
    "trial_period_days",
    "trial_end",
    "trial_settings",
    "description",
    "billing_mode",
    "proration_behavior",
)
ONCE = (
    "mode",
    "customer",
    "customer_email",
    "line_items",
    "client_reference_id",
    "metadata",
    "payment_intent_data",
    "success_url",
    "cancel_url",
    "expand",
)
"""What a session of the mode `payment` takes here."""
PAGE = "/c/pay/"


def create_session(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for another mode than `subscription` and `payment`, or what Stripe refuses.
    """
    params = call.params
    if forms.text(params, "mode") == "payment":
        return _create_once(call)
    forms.known(params, (*PARAMS, *KEPT, *WITHOUT_EFFECT))
    ui_mode = _ui_mode(call)
    data = forms.hashed(params, "subscription_data")
    forms.known(data, SUBSCRIPTION_DATA, "subscription_data")
    customer, kept = _customer(call), typed_members(call, KEPT)
    return_url = _return_url(call) if ui_mode == "embedded" else None
    _check_customer_update(call, customer, kept)
    items, currency = priced_items(call, "line_items"), _currency(call)
    made = coupons.discounts(call, forms.listed(params, "discounts"), "discounts", customer)
    if made and kept.get("allow_promotion_codes"):
        raise invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.")
    if currency is not None:
        _check_currency(call, items, currency)
    session = call.account.open_checkout(
        items,
        customer=customer,
        customer_email=forms.text(params, "customer_email"),
        client_reference_id=forms.text(params, "client_reference_id"),
        metadata=forms.merged_metadata(params, {}),
        subscription_metadata=forms.merged_metadata(data, {}),
        trial_days=_trial_days(call, data),
        success_url=_address(call, "success_url") if ui_mode == "hosted" else "",
        cancel_url=forms.text(params, "cancel_url"),
        discounts=made,
        currency=currency,
        subscription_details=_subscription_details(data),
    )
    if ui_mode == "embedded":
        session.ui_mode, session.return_url = "embedded", return_url
    else:
        session.url = f"{call.base_url}{PAGE}{session.id}"
    session.details = {
        name: DEFAULTS[name] | value if name in DEFAULTS and isinstance(value, dict) else value
        for name, value in kept.items()
    }
    return answer(call, session)


def _currency(call: Call) -> str | None:
    text = forms.text(call.params, "currency")
    return text.lower() if text is not None else None


def _check_currency(call: Call, items: list[tuple[str, int]], currency: str) -> None:
    for price_id, _ in items:
        if call.account.prices[price_id].amount_in(currency) is None:
            raise invalid(
                f"The price specified only supports `{call.account.prices[price_id].currency}`. This doesn't "
                f"match the expected currency: `{currency}`.",
                "currency",
            )


def _check_customer_update(call: Call, customer: str | None, kept: Json) -> None:
    """What taxes and tax ids need of a customer that is there may be saved only where that is allowed."""
    update = forms.hashed(call.params, "customer_update")
    forms.known(update, ("address", "name", "shipping"), "customer_update")
    if update and customer is None:
        raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
    if customer is None:
        return
    if (kept.get("tax_id_collection") or {}).get("enabled") and update.get("name") != "auto":
        raise invalid(
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection "
            "for an existing customer, please set `customer_update[name]` to `auto`.",
            "tax_id_collection",
        )
    saved = "auto" in (update.get("address"), update.get("shipping"))
    has_address = bool(call.account.customers[customer].details.get("address"))
    if (kept.get("automatic_tax") or {}).get("enabled") and not saved and not has_address:
        raise invalid(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid "
            "address to the Customer or set either `customer_update[address]` to 'auto' or "
            "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer.",
            "automatic_tax",
        )


def _subscription_details(data: forms.Params) -> Json:
    """What the subscription keeps of `subscription_data`."""
    return {name: data[name] for name in ("trial_settings", "description") if name in data}


def _create_once(call: Call) -> Json:
    """A session of the mode `payment`, on Stripe's own page."""
    params = call.params
    forms.known(params, (*ONCE, *WITHOUT_EFFECT))
    items = priced_items(call, "line_items")
    if recurring := [price for price, _ in items if call.account.prices[price].recurring]:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode "
            f"or use only one-time prices ({recurring[0]}).",
            "line_items",
        )
    session = call.account.open_once(
        items,
        customer=_customer(call),
        client_reference_id=forms.text(params, "client_reference_id"),
        metadata=forms.merged_metadata(params, {}),
        success_url=_address(call, "success_url"),
        cancel_url=forms.text(params, "cancel_url"),
    )
    session.url = f"{call.base_url}{PAGE}{session.id}"
    return answer(call, session)


def _trial_days(call: Call, data: forms.Params) -> int:
    """Whole days: of `trial_period_days`, or until `trial_end`."""
    days = forms.integer(data, "trial_period_days", prefix="subscription_data")
    end = forms.integer(data, "trial_end", prefix="subscription_data")
    if end is not None:
        seconds = end - call.account.now
        if seconds < 2 * DAY:
            raise invalid(
                "The `trial_end` date has to be at least 2 days in the future.",
                "subscription_data[trial_end]",
            )
        return -(-seconds // DAY)
    if days is not None and days < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")
    return days or 0


def update_session(call: Call) -> Json:
    """Only its metadata can be changed here."""
    forms.known(call.params, ("metadata", "expand"))
    session = call.session()
    session.metadata = forms.merged_metadata(call.params, session.metadata)
    return answer(call, session)


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
    return answer(call, session)


def submit_page(account: Account, session: CheckoutSession) -> None:
    """The buyer submits the page behind the session's `url`.

    Raises:
        ValueError: for a session that has expired.
    """
    if session.mode == "payment":
        account.pay_once(session)
    else:
        complete_checkout(account, session.id)


def complete_checkout(
    account: Account,
    session_id: str,
    *,
    promotion_code: str | None = None,
    payment_method: str | None = None,
) -> Subscription:
    """What the buyer does on the page behind the session's `url`; once done, it stays done.

    `promotion_code`: what the buyer types where the session allows promotion codes. `payment_method`: a test
    card such as `pm_card_visa`; one that is refused leaves the session open.

    Raises:
        KeyError: for a session that there is not.
        ValueError: for one that has expired, a code that is not valid, and a card that is refused.
    """
    session = account.sessions[session_id]
    if promotion_code is not None:
        _redeem(account, session, promotion_code)
    card = card_of(payment_method) if payment_method is not None else None
    if card is not None and card.charge_code is not None and session.status == "open":
        raise ValueError(f"The card was declined: {card.charge_code}.")
    return account.pay_checkout(session)


def _redeem(account: Account, session: CheckoutSession, text: str) -> None:
    if not session.details.get("allow_promotion_codes"):
        raise ValueError("This checkout session allows no promotion codes.")
    for code in account.records.get("promotion_code", {}).values():
        if code.content["code"].lower() == text.lower() and code.content["active"]:
            coupon = account.record("coupon", code.content["promotion"]["coupon"])
            if coupon is not None:
                account.discount_checkout(session, coupon, code)
                return
    raise ValueError(f"The promotion code {text} is not valid.")


def success_address(session: CheckoutSession) -> str:
    """Where the buyer goes afterwards."""
    address = session.success_url or session.return_url or ""
    return address.replace("{CHECKOUT_SESSION_ID}", session.id)


def _ui_mode(call: Call) -> str:
    if forms.required(call.params, "mode") != "subscription":
        raise invalid("The simulator plays the modes `subscription` and `payment` only.", "mode")
    wanted = forms.text(call.params, "ui_mode") or "hosted"
    if wanted not in UI_MODES:
        raise invalid(f"The simulator plays the ui_mode {', '.join(UI_MODES)} only.", "ui_mode")
    if UI_MODES[wanted] == "embedded" and forms.text(call.params, "success_url"):
        raise invalid("`success_url` is not allowed with an embedded page: use `return_url`.", "success_url")
    return UI_MODES[wanted]


def _return_url(call: Call) -> str | None:
    """Required unless the embedded page never redirects."""
    if forms.text(call.params, "redirect_on_completion") == "never":
        return None
    return _address(call, "return_url")


def _customer(call: Call) -> str | None:
    id = forms.text(call.params, "customer")
    if id is None:
        return None
    if forms.text(call.params, "customer_email") is not None:
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    return call.living_customer(id, "customer").id


def _address(call: Call, name: str) -> str:
    address = forms.required(call.params, name)
    if "://" not in address:
        raise invalid("Not a valid URL", name, "url_invalid")
    return address
