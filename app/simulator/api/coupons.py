"""Coupons and promotion codes, and what they are applied to."""

from collections.abc import Mapping
from typing import Any

from ..model import Discount, Record
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing, no_such
from .resources import Resource

DURATIONS = ("forever", "once", "repeating")
MONTH = 30 * 86_400


def _coupon(call: Call, params: Json) -> Json:
    """
    Raises:
        ApiError: 400 unless it takes off a percentage or an amount in a currency.
    """
    percent, amount = params.get("percent_off"), params.get("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must pass either `percent_off` or `amount_off`, and not both.", "percent_off")
    if percent is not None and not 0 < percent <= 100:
        raise invalid("Invalid percent_off: must be greater than 0 and at most 100", "percent_off")
    if amount is not None and params.get("currency") is None:
        raise missing("currency")
    duration = params.get("duration") or "once"
    if duration not in DURATIONS:
        raise invalid(f"Invalid duration: must be one of {', '.join(DURATIONS)}", "duration")
    if duration == "repeating" and not params.get("duration_in_months"):
        raise missing("duration_in_months")
    return params | {"duration": duration}


COUPONS = Resource(
    "coupon",
    "coupon",
    "coupon",
    {
        "amount_off": None,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    },
    (
        "id",
        "amount_off",
        "currency",
        "duration",
        "duration_in_months",
        "max_redemptions",
        "metadata",
        "name",
        "percent_off",
        "redeem_by",
    ),
    ("metadata", "name"),
    event="coupon",
    fill=_coupon,
)


def _promotion_code(call: Call, params: Json) -> Json:
    promotion: Mapping[str, Any] = params.pop("promotion", None) or {}
    coupon = params.pop("coupon", None) or promotion.get("coupon")
    if coupon is None:
        raise missing("promotion")
    COUPONS.found(call, coupon, "promotion[coupon]")
    code = params.get("code") or call.account.new_id("code").removeprefix("code_1")[:8].upper()
    if any(one.content["active"] for one in _codes(call, code)):
        raise invalid("An active promotion code with `code: " + code + "` already exists.", "code")
    if params.get("customer") is not None:
        call.living_customer(params["customer"], "customer")
    restrictions = {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None}
    return params | {
        "active": params.get("active") is not False,
        "code": code,
        "promotion": {"coupon": coupon, "type": "coupon"},
        "restrictions": restrictions | (params.get("restrictions") or {}),
    }


class PromotionCodes(Resource):
    """Listed by code and coupon as well."""

    def list(self, call: Call) -> Json:
        listed = super().list(call)
        coupon = forms.text(call.params, "coupon")
        if coupon is not None:
            listed["data"] = [one for one in listed["data"] if one["promotion"]["coupon"] == coupon]
        return listed


PROMOTION_CODES = PromotionCodes(
    "promotion code",
    "promotion_code",
    "promo",
    {
        "active": True,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "max_redemptions": None,
        "metadata": {},
        "times_redeemed": 0,
    },
    (
        "active",
        "code",
        "customer",
        "expires_at",
        "max_redemptions",
        "metadata",
        "promotion",
        "restrictions",
    ),
    ("active", "metadata"),
    filters=("active", "code", "customer"),
    event="promotion_code",
    fill=_promotion_code,
)


def _codes(call: Call, code: str) -> list[Record]:
    """The promotion codes that a buyer may mean by this text: upper and lower case are the same."""
    found = call.account.records.get("promotion_code", {}).values()
    return [one for one in found if one.content["code"].lower() == code.lower()]


def discounts(call: Call, entries: Any, at: str, customer: str | None) -> list[Discount]:
    """Discounts for parameters `[{coupon}, {promotion_code}]`, not applied to anything yet.

    Raises:
        ApiError: 400 for a coupon or code that is unknown, used up, or of another customer.
    """
    made = []
    for number, entry in enumerate(entries or []):
        param = f"{at}[{number}]"
        if not isinstance(entry, dict) or not ("coupon" in entry or "promotion_code" in entry):
            raise invalid("A discount names a `coupon` or a `promotion_code`.", param)
        code = None
        if entry.get("promotion_code"):
            code = PROMOTION_CODES.found(call, entry["promotion_code"], f"{param}[promotion_code]")
        coupon_id = code.content["promotion"]["coupon"] if code is not None else entry["coupon"]
        coupon = COUPONS.found(call, coupon_id, f"{param}[coupon]")
        if code is not None:
            _require_usable(call, code, customer)
        _require_valid(call, coupon, param)
        made.append(_discount(call, coupon, code))
    return made


def _discount(call: Call, coupon: Record, code: Record | None) -> Discount:
    months = coupon.content["duration_in_months"]
    end = call.account.now + months * MONTH if coupon.content["duration"] == "repeating" else None
    return Discount(
        call.account.new_id("di"),
        dict(coupon.content),
        call.account.now,
        end,
        code.id if code is not None else None,
    )


def redeem(call: Call, made: list[Discount]) -> None:
    """Count the coupons and codes of discounts that were applied."""
    for discount in made:
        call.account.count_redemption(discount)


def _used_up(content: Json) -> bool:
    most = content["max_redemptions"]
    return most is not None and bool(content["times_redeemed"] >= most)


def _require_usable(call: Call, code: Record, customer: str | None) -> None:
    content = code.content
    expired = content["expires_at"] is not None and content["expires_at"] <= call.account.now
    if not content["active"] or _used_up(content) or expired:
        raise invalid("This promotion code is expired or used up, or it is not active.", "promotion_code")
    if content["customer"] not in (None, customer):
        raise invalid("This promotion code is for another customer.", "promotion_code")


def _require_valid(call: Call, coupon: Record, param: str) -> None:
    content = coupon.content
    if _used_up(content) or (content["redeem_by"] is not None and content["redeem_by"] <= call.account.now):
        raise invalid(f"Coupon {coupon.id} is used up or expired.", param, "coupon_expired")


def delete_subscription_discount(call: Call) -> Json:
    """Take the discounts of a subscription away."""
    forms.known(call.params, ())
    subscription = call.subscription()
    if not subscription.discounts:
        raise no_such("discount", subscription.id)
    first = subscription.discounts[0]
    with call.account.editing(subscription):
        subscription.discounts = []
    return _deleted(first)


def delete_customer_discount(call: Call) -> Json:
    """Take the discount of a customer away."""
    forms.known(call.params, ())
    customer = call.living_customer()
    if customer.discount is None:
        raise no_such("discount", customer.id)
    discount = customer.discount
    with call.account.editing(customer):
        customer.discount = None
    return _deleted(discount)


def _deleted(discount: Discount) -> Json:
    return {
        "id": discount.id,
        "object": "discount",
        "customer": discount.customer,
        "deleted": True,
        "promotion_code": discount.promotion_code,
        "source": {"coupon": discount.coupon["id"], "type": "coupon"},
        "start": discount.start,
        "subscription": discount.subscription,
    }
