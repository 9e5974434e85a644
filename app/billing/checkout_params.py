"""The parameters of a checkout session: what the order says, what links it to its user, and what else the
caller sends to Stripe.

Only parameters that are listed here go there, and none can take the place of one that the service sets.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..entitlements import ONLY_SUBSCRIPTION, SECOND_SUBSCRIPTION, SOLD_AS
from ..errors import InvalidRequest
from .checkout_order import MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE, Order

Json = dict[str, Any]

MAX_REFERENCE_LENGTH = 200
"""Characters of `client_reference_id` ("Create a Checkout Session")."""

PASSED_ON = frozenset(
    {
        "adaptive_pricing",
        "allowed_payment_method_types",
        "automatic_tax",
        "branding_settings",
        "consent_collection",
        "custom_fields",
        "custom_text",
        "customer_update",
        "excluded_payment_method_types",
        "expires_at",
        "integration_identifier",
        "managed_payments",
        "metadata",
        "name_collection",
        "origin_context",
        "payment_method_configuration",
        "payment_method_data",
        "payment_method_options",
        "permissions",
        "phone_number_collection",
        "saved_payment_method_options",
        "shipping_address_collection",
        "submit_type",
        "subscription_data",
        "tax_id_collection",
        "wallet_options",
    }
)
"""The parameters of "Create a Checkout Session" that a caller may send as `stripe_params`."""
INSTEAD = {
    "allow_promotion_codes": "Send allow_promotion_codes beside stripe_params.",
    "billing_address_collection": "Send billing_address_collection beside stripe_params.",
    "cancel_url": "Send cancel_url beside stripe_params.",
    "currency": "Send currency beside stripe_params.",
    "discounts": "Send coupon or promotion_code beside stripe_params.",
    "line_items": "Send items beside stripe_params.",
    "locale": "Send locale beside stripe_params.",
    "optional_items": "Send items beside stripe_params.",
    "payment_method_collection": "Send trial_without_card beside stripe_params.",
    "redirect_on_completion": "Leave return_url out for a page that does not redirect.",
    "return_url": "Send return_url beside stripe_params.",
    "success_url": "Send success_url beside stripe_params.",
    "ui_mode": "Send ui_mode beside stripe_params.",
    "subscription_data.trial_end": "Send trial_days beside stripe_params.",
    "subscription_data.trial_period_days": "Send trial_days beside stripe_params.",
    "subscription_data.trial_settings": "Send trial_without_card beside stripe_params.",
}
"""What to do instead of sending a parameter that is refused."""
REFUSED_INSIDE = frozenset(
    {
        "subscription_data.items",
        "subscription_data.trial_end",
        "subscription_data.trial_from_plan",
        "subscription_data.trial_period_days",
        "subscription_data.trial_settings",
    }
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_DEPTH = 6
MAX_VALUES = 200
MAX_TEXT = 5000


def check_parameters(order: Order, link_keys: Sequence[str]) -> None:
    """
    Raises:
        InvalidRequest: naming the key, when `metadata` or `stripe_params` would link somebody else, exceeds a
            bound, or has what is not passed on.
    """
    check_metadata(order.metadata, "metadata", link_keys)
    for name in order.stripe_params:
        if name not in PASSED_ON:
            raise _refused(str(name)[:64])
    left = [MAX_VALUES]
    for name, value in order.stripe_params.items():
        _check_value(value, name, link_keys, left)


def session_params(
    order: Order,
    lines: Sequence[Json],
    *,
    link_key: str,
    trial_days: int | None,
    discounts: Sequence[Json],
) -> Json:
    """The request for a session but for its customer. The user's id stands wherever a webhook may look for
    it.

    Raises:
        InvalidRequest: naming the key, when `stripe_params` would override what is set here.
    """
    user = {**order.metadata, link_key: order.user_id}
    params: Json = {
        "mode": "subscription",
        "line_items": list(lines),
        "metadata": user | {SOLD_AS: SECOND_SUBSCRIPTION if order.allow_second else ONLY_SUBSCRIPTION},
        "subscription_data": {"metadata": user} | _trial(order, trial_days),
        **_addresses(order),
        **_options(order),
    }
    if discounts:
        params["discounts"] = list(discounts)
    if trial_days and order.trial_without_card is not None:
        params["payment_method_collection"] = "if_required"
    if len(order.user_id) <= MAX_REFERENCE_LENGTH:
        params["client_reference_id"] = order.user_id
    return _merged(params, order.stripe_params)


def check_metadata(metadata: Mapping[str, Any], at: str, link_keys: Sequence[str]) -> None:
    """
    Raises:
        InvalidRequest: naming the key, for what Stripe does not store, or what would link somebody else.
    """
    if len(metadata) > MAX_METADATA:
        raise InvalidRequest(f"{at}: {MAX_METADATA} keys at most.")
    for key, value in metadata.items():
        if key in (*link_keys, SOLD_AS):
            raise InvalidRequest(f"{at}.{key}: the service sets it. Leave it out.")
        if not isinstance(key, str) or not 0 < len(key) <= MAX_METADATA_KEY or {"[", "]"} & set(key):
            raise InvalidRequest(
                f"{at}: a key has 1 to {MAX_METADATA_KEY} characters and no brackets: correct {key[:50]!r}."
            )
        if not isinstance(value, str) or len(value) > MAX_METADATA_VALUE:
            raise InvalidRequest(f"{at}.{key}: a text of {MAX_METADATA_VALUE} characters at most.")


def _addresses(order: Order) -> Json:
    if order.ui_mode == "hosted":
        addresses = {"success_url": order.success_url, "cancel_url": order.cancel_url}
        return {name: url for name, url in addresses.items() if url is not None}
    if order.return_url is None:
        return {"ui_mode": "embedded_page", "redirect_on_completion": "never"}
    return {"ui_mode": "embedded_page", "return_url": order.return_url}


def _trial(order: Order, trial_days: int | None) -> Json:
    if not trial_days:
        return {}
    trial: Json = {"trial_period_days": trial_days}
    if order.trial_without_card is not None:
        behavior = {"missing_payment_method": order.trial_without_card}
        trial["trial_settings"] = {"end_behavior": behavior}
    return trial


def _options(order: Order) -> Json:
    """What is written as Stripe writes it. Of an existing customer, Stripe saves the address that taxes need,
    and the name that belongs to a tax id, only where `customer_update` allows it."""
    options: Json = {
        name: value
        for name in ("billing_address_collection", "locale", "currency")
        if (value := getattr(order, name)) is not None
    }
    update: Json = {}
    if order.allow_promotion_codes:
        options["allow_promotion_codes"] = True
    if order.automatic_tax:
        options["automatic_tax"] = {"enabled": True}
        update["address"] = "auto"
    if order.tax_id_collection:
        options["tax_id_collection"] = {"enabled": True}
        update["name"] = "auto"
    return options | ({"customer_update": update} if update else {})


def _check_value(value: Any, at: str, link_keys: Sequence[str], left: list[int]) -> None:
    """`left`: how many values may still come."""
    left[0] -= 1
    if left[0] < 0:
        raise InvalidRequest(f"stripe_params: {MAX_VALUES} values at most.")
    if at.count(".") >= MAX_DEPTH:
        raise InvalidRequest(f"stripe_params.{at}: nested deeper than {MAX_DEPTH} levels.")
    if at in REFUSED_INSIDE:
        raise _refused(at)
    if at.endswith("metadata"):
        _check_inner_metadata(value, at, link_keys)
    elif isinstance(value, dict):
        _check_members(value, at, link_keys, left)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _check_value(each, f"{at}.{number}", link_keys, left)
    elif not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > MAX_TEXT):
        raise InvalidRequest(
            f"stripe_params.{at}: a number, true, false, or a text of {MAX_TEXT} characters."
        )


def _check_inner_metadata(value: Any, at: str, link_keys: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest(f"stripe_params.{at}: an object.")
    check_metadata(value, f"stripe_params.{at}", link_keys)


def _check_members(value: Mapping[str, Any], at: str, link_keys: Sequence[str], left: list[int]) -> None:
    for name, inner in value.items():
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            # Brackets would make it a parameter of its own: `metadata[user_id]`.
            raise InvalidRequest(
                f"stripe_params.{at}: {str(name)[:64]!r} is no name of a parameter of Stripe. Leave it out."
            )
        _check_value(inner, f"{at}.{name}", link_keys, left)


def _refused(name: str) -> InvalidRequest:
    instead = INSTEAD.get(name, "Leave it out.")
    return InvalidRequest(f"stripe_params.{name}: the service sets it, or does not pass it on. {instead}")


def _merged(ours: Json, given: Mapping[str, Any], at: str = "") -> Json:
    """Both, where the caller's part touches nothing of ours.

    Raises:
        InvalidRequest: naming the first key that is in both.
    """
    merged = dict(ours)
    for name, value in given.items():
        if name not in ours:
            merged[name] = value
        elif isinstance(ours[name], dict) and isinstance(value, dict):
            merged[name] = _merged(ours[name], value, f"{at}{name}.")
        else:
            raise InvalidRequest(f"stripe_params.{at}{name}: the service sets it. Leave it out.")
    return merged
