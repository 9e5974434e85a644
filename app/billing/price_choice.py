"""Which of a plan's prices a subscription changes to, and which quantities buy something."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Conflict, InvalidRequest, NotFound
from ..plans import Plan
from ..stripe.client import StripeApi, promptly
from ..stripe.objects import Values, as_dict, as_id, as_integer, as_text

SAME = ("interval", "interval_count", "currency")


async def price_like(api: StripeApi, plan: Plan, item: Mapping[str, Any]) -> str:
    """The plan's price with the interval and the currency of the item; the first of several in the file.

    Raises:
        Conflict: with `choices`, when the plan has no such price: to choose is the caller's.
        InvalidRequest: when the plan has no price at all.
        StripeRefused, StripeUnavailable, Unavailable: when Stripe cannot be asked.
    """
    if not (plan.prices or plan.lookup_keys or plan.products):
        raise InvalidRequest(f"Plan {plan.id!r} has no price in the plans file: cancel the subscription.")
    choices = [_choice(price) for price in await _prices_of(api, plan)]
    for choice in choices:
        if all(choice[name] == item[name] for name in SAME):
            return str(choice["price_id"])
    kept = (
        f"{item['interval_count'] or 1} {item['interval'] or 'unknown interval'}, {item['currency'] or '?'}"
    )
    raise Conflict(
        f"Plan {plan.id!r} has no active price with the subscription's interval and currency ({kept}). "
        "Nothing was changed. Send the price_id of one of the choices.",
        choices=choices,
    )


async def _prices_of(api: StripeApi, plan: Plan) -> list[Values]:
    """The plan's prices that Stripe still sells, in the order of the plans file."""
    found = [price for price in await asyncio.gather(*(_price(api, id) for id in plan.prices)) if price]
    if plan.lookup_keys:
        found += await _listed(api, lookup_keys=list(plan.lookup_keys))
    for product in plan.products:
        found += await _listed(api, product=product)
    unique = {as_id(price.get("id")): price for price in reversed(found) if price.get("active") is not False}
    return list(reversed(unique.values()))


async def _price(api: StripeApi, price_id: str) -> Values | None:
    try:
        return (await promptly(api.get(f"/v1/prices/{price_id}"))).content
    except NotFound:
        return None


async def _listed(api: StripeApi, **which: Any) -> Iterable[Values]:
    listed = (await promptly(api.get("/v1/prices", active=True, limit=100, **which))).content
    return [price for price in listed.get("data") or [] if isinstance(price, dict)]


def _choice(price: Values) -> Values:
    recurring = as_dict(price.get("recurring"))
    return {
        "price_id": as_id(price.get("id")),
        "interval": as_text(recurring.get("interval")),
        "interval_count": as_integer(recurring.get("interval_count")),
        "currency": as_text(price.get("currency")),
        "unit_amount": as_integer(price.get("unit_amount")),
    }


def quantity_for(plan: Plan | None, *, asked: int | None, had: int | None) -> int | None:
    """The quantity to send with a price of the plan: the one that is asked for, else the one that there was.

    One of a plan without limits per unit where nothing else is asked for: five would be paid, and give one.

    Raises:
        InvalidRequest: when what is asked for would be paid, and give nothing.
    """
    check_quantity(plan, asked)
    if asked is not None or had is None:
        return asked
    return had if plan is None or counts_units(plan) else min(had, 1)


def check_quantity(plan: Plan | None, quantity: int | None) -> None:
    """
    Raises:
        InvalidRequest: for a quantity that would be paid, and give nothing; and for none at all.
    """
    if quantity == 0:
        raise InvalidRequest("quantity: 0 buys nothing. Cancel the subscription instead.")
    if quantity is not None and quantity > 1 and plan is not None and not counts_units(plan):
        raise InvalidRequest(
            f"quantity: plan {plan.id!r} has no limit per unit, so {quantity} would be paid for what one "
            "gives. Send 1, or set per_unit for a limit in the plans file."
        )


def counts_units(plan: Plan) -> bool:
    """Whether any limit of the plan is times the quantity."""
    return any(limit.per_unit for limit in plan.limits.values())
