"""The discount that an order names: a coupon, or a promotion code by its id or as a buyer would type it."""

import re
from typing import Any

from ..errors import InvalidRequest
from ..stripe.client import StripeApi, promptly
from .checkout_order import Order

Json = dict[str, Any]

PROMOTION_CODE = re.compile(r"promo_[A-Za-z0-9]+")


async def discounts_of(api: StripeApi, order: Order) -> list[Json]:
    """As "Create a Checkout Session" takes them (`discounts`).

    Raises:
        InvalidRequest: when Stripe has no active promotion code with the text.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    if order.coupon is not None:
        return [{"coupon": order.coupon}]
    code = order.promotion_code
    if code is None:
        return []
    if PROMOTION_CODE.fullmatch(code):
        return [{"promotion_code": code}]
    listed = await promptly(api.get("/v1/promotion_codes", code=code, active=True, limit=1))
    found = listed.content.get("data") or []
    if not found:
        raise InvalidRequest(f"promotion_code: Stripe has no active promotion code {code!r}.")
    return [{"promotion_code": str(found[0]["id"])}]
