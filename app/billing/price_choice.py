"""Which of a plan's prices a subscription changes to, and which quantities buy something."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import COMMAND
from ..errors import Conflict, InvalidRequest, NotFound
from ..limits.prices import known_prices
from ..plans import Catalogue, Ignored, Offer, Plan, PriceList
from ..service import Service
from ..stripe.client import StripeApi, promptly, required
from ..stripe.objects import Values, as_dict, as_id, as_integer, as_text, seen_prices
from .quantities import titled

SAME = ("interval", "interval_count", "currency")
MULTI_CURRENCY = "currency_options"
"""The member of a price that Stripe shows only where it is asked to ("Expanding Responses")."""


async def offer_of(service: Service, api: StripeApi, price_id: str) -> Offer:
    """The plan or add-on that the price buys: by its id, by what was seen of it, or as Stripe shows it.

    Raises:
        NotFound: when no plan and no add-on lists it: it would be paid and give nothing.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    owner = await owner_of(service, api, price_id)
    if isinstance(owner, Ignored):
        raise _in_no_plan(price_id)
    return owner


async def owner_of(service: Service, api: StripeApi, price_id: str) -> Offer | Ignored:
    """As `offer_of`; `[ignored]` included, whose prices grant nothing on purpose.

    Raises:
        NotFound: when nothing in the catalogue lists it.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    catalogue = service.limits.catalogue
    async with service.database.reading() as session:
        known = await known_prices(await session.connection(), [price_id])
    if (found := PriceList(catalogue, known).owner(price_id)) is not None:
        return found
    price = await _price(api, price_id)
    for seen in seen_prices(price | {"object": "price"}) if price else ():
        keys = (seen.lookup_key,) if seen.lookup_key else ()
        owner = catalogue.owner_of(price_id, keys, seen.product_id)
        if owner is not None:
            return owner
    raise _in_no_plan(price_id)


def _in_no_plan(price_id: str) -> NotFound:
    return NotFound(f"Price {price_id} is in no plan of the catalogue: add it to one in the plans file.")


def check_is_sold(catalogue: Catalogue, offer: Offer, price_id: str | None = None) -> None:
    """
    Raises:
        InvalidRequest: for a plan or an add-on that is not sold, or whose price is not: they are kept for
            those who have them. For a plan that is bought once, which nobody subscribes to.
    """
    if isinstance(offer, Plan) and offer.once is not None:
        raise InvalidRequest(
            f"Plan {offer.title!r} is bought once, not subscribed to: send it to POST "
            "/internal/one-time-sessions. Nothing was changed."
        )
    noun = "Plan" if isinstance(offer, Plan) else "Add-on"
    if not offer.sold:
        what = f"{noun} {offer.title!r} is"
    elif not offer.sells(price_id):
        what = f"Price {price_id} of {noun.lower()} {offer.title!r} is"
    else:
        return
    sold = catalogue.sold_plans() if isinstance(offer, Plan) else catalogue.sold_addons()
    names = ", ".join(repr(each.id) for each in sold) or "none"
    raise InvalidRequest(
        f"{what} no longer sold; whoever has it keeps it. Nothing was changed. Sold are: {names}."
    )


async def plan_of_price(service: Service, api: StripeApi, price_id: str) -> Plan:
    """The plan that the price buys.

    Raises:
        InvalidRequest: when it is an add-on's.
        NotFound, StripeRefused, StripeUnavailable: as `offer_of`.
    """
    offer = await offer_of(service, api, price_id)
    if not isinstance(offer, Plan):
        raise InvalidRequest(f"Price {price_id} is an add-on's: it does not take the place of a plan.")
    return offer


async def first_price(api: StripeApi, offer: Offer) -> str:
    """The price that a plan or an add-on is sold at by its name: the first in the plans file, else its only
    one at Stripe.

    Raises:
        Conflict: with `choices`, when Stripe sells several for its products: to choose is the caller's.
        InvalidRequest: when it has no price.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    if offer.prices:
        return offer.prices[0]
    return _only([_choice(price) for price in await _prices_of(api, offer)], offer)


async def price_for(api: StripeApi, offer: Offer, *, every: str | None, currency: str | None) -> str:
    """The price of a plan or an add-on for an interval, as `offered_prices` names it, and a currency: the
    first in the plans file, else the only one at Stripe.

    A price in several currencies is one of each ("Create a Price", `currency_options`).

    Raises:
        Conflict: with `choices`, when it has no such price, or Stripe sells several for its products.
        InvalidRequest: when it has no price at all.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    prices = await _prices_of(api, offer, MULTI_CURRENCY)
    fitting = [
        price
        for price in prices
        if every in (None, _interval(price)) and (currency is None or currency.lower() in _currencies(price))
    ]
    if fitting or not prices:
        return _only([_choice(price) for price in fitting], offer)
    wanted = " and ".join(f"{each!r}" for each in (every, currency) if each is not None)
    raise Conflict(
        f"{titled(offer)} has no active price for {wanted}. Send the price_id of one of the choices.",
        choices=[_choice(price) for price in prices],
    )


def _not_sold(offer: Offer) -> InvalidRequest:
    return InvalidRequest(
        f"{titled(offer)} has no price in the plans file that Stripe sells, so it cannot be bought. "
        f"`{COMMAND} doctor` names what is missing. A process reads the plans file when it starts."
    )


def _only(found: list[Values], offer: Offer) -> str:
    if not found:
        raise _not_sold(offer)
    if len(found) > 1 and not offer.lookup_keys and not offer.prices:
        raise Conflict(
            f"{titled(offer)} has several prices at Stripe. Send the price_id of one of the choices.",
            choices=found,
        )
    return str(found[0]["price_id"])


def _interval(price: Values) -> str | None:
    choice = _choice(price)
    return _every(choice["interval"], choice["interval_count"] or 1) if choice["interval"] else None


def _currencies(price: Values) -> set[str | None]:
    return {as_text(price.get("currency")), *as_dict(price.get("currency_options"))}


class OfferedPrice(NamedTuple):
    """A price that new buyers are offered. `unit_amount` in minor currency units."""

    price_id: str
    every: str
    """How long it buys: `month`, `year`, `3 months`."""
    unit_amount: int | None
    currency: str | None


async def offered_prices(service: Service, plan_id: str, currency: str | None = None) -> list[OfferedPrice]:
    """What a plan is sold at: for each interval the first price of the plans file that Stripe still sells.

    A later one of the same interval is for those who have it. In one currency: the given one, else that of
    the plan's first price.

    Raises:
        NotFound: when the catalogue has no such plan. One that is no longer sold is offered at nothing.
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    plan = service.limits.catalogue.plans.get(plan_id)
    if plan is None:
        raise NotFound(f"There is no plan {plan_id!r}.")
    if not plan.sold:
        return []
    choices = [_choice(price) for price in await _prices_of(required(service.stripe), plan)]
    offered: dict[str, OfferedPrice] = {}
    for choice in choices:
        if choice["interval"] is not None and choice["currency"] == (currency or choices[0]["currency"]):
            every = _every(choice["interval"], choice["interval_count"] or 1)
            price = OfferedPrice(choice["price_id"], every, choice["unit_amount"], choice["currency"])
            offered.setdefault(every, price)
    return list(offered.values())


async def offered_price(service: Service, plan_id: str, every: str, currency: str | None = None) -> str:
    """The id of the price that a plan is offered at for an interval, as `offered_prices` names it.

    Raises:
        NotFound, StripeKeyMissing, StripeRefused, StripeUnavailable: as `offered_prices`; when nothing is
            offered for that interval.
    """
    for price in await offered_prices(service, plan_id, currency):
        if price.every == every:
            return price.price_id
    raise NotFound(f"Plan {plan_id!r} is not offered for the interval {every!r}.")


def _every(interval: str, count: int) -> str:
    return interval if count == 1 else f"{count} {interval}s"


async def price_like(api: StripeApi, offer: Offer, item: Mapping[str, Any]) -> str:
    """The price of a plan or an add-on with the interval and the currency of the item; the first of several
    in the file.

    Raises:
        Conflict: with `choices`, when there is no such price: to choose is the caller's.
        InvalidRequest: when there is no price at all.
        StripeRefused, StripeUnavailable, Unavailable: when Stripe cannot be asked.
    """
    title = titled(offer)
    if not (offer.prices or offer.lookup_keys or offer.products):
        raise InvalidRequest(f"{title} has no price in the plans file: cancel the subscription.")
    choices = [_choice(price) for price in await _prices_of(api, offer)]
    if not choices:
        raise _not_sold(offer)
    for choice in choices:
        if all(choice[name] == item[name] for name in SAME):
            return str(choice["price_id"])
    kept = (
        f"{item['interval_count'] or 1} {item['interval'] or 'unknown interval'}, {item['currency'] or '?'}"
    )
    raise Conflict(
        f"{title} has no active price with the subscription's interval and currency ({kept}). "
        "Nothing was changed. Send the price_id of one of the choices.",
        choices=choices,
    )


async def sold_prices(api: StripeApi, offer: Offer) -> list[Values]:
    """The prices of a plan or an add-on that can be bought, as Stripe shows them.

    Raises:
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    return [price for price in await _prices_of(api, offer) if offer.sells(as_id(price.get("id")))]


async def price_shape(api: StripeApi, price_id: str) -> Values:
    """The interval and the currency of a price, as `price_like` compares them.

    Raises:
        NotFound: when Stripe has no such price.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    price = await _price(api, price_id)
    if price is None:
        raise NotFound(f"Stripe has no price {price_id}, or not in the mode of STRIPE_API_KEY.")
    return {name: _choice(price)[name] for name in SAME}


async def _prices_of(api: StripeApi, offer: Offer, *shown: str) -> list[Values]:
    """The prices of a plan or an add-on that Stripe still sells, in the order of the plans file.

    `shown`: members that Stripe shows only where it is asked to.
    """
    found = [
        price for price in await asyncio.gather(*(_price(api, id, *shown) for id in offer.prices)) if price
    ]
    if offer.lookup_keys:
        listed = await _listed(api, shown, lookup_keys=list(offer.lookup_keys))
        by_key = {as_text(price.get("lookup_key")): price for price in listed}
        found += [by_key[key] for key in offer.lookup_keys if key in by_key]
    for product in offer.products:
        found += await _listed(api, shown, product=product)
    unique = {as_id(price.get("id")): price for price in reversed(found) if price.get("active") is not False}
    return [price for price in reversed(unique.values()) if as_id(price.get("id")) not in offer.unsold_prices]


async def _price(api: StripeApi, price_id: str, *shown: str) -> Values | None:
    try:
        return (await promptly(api.get(f"/v1/prices/{price_id}", **_expand(shown)))).content
    except NotFound:
        return None


async def _listed(api: StripeApi, shown: Sequence[str], **which: Any) -> Iterable[Values]:
    expand = _expand([f"data.{name}" for name in shown])
    listed = (await promptly(api.get("/v1/prices", active=True, limit=100, **which, **expand))).content
    prices = [price for price in listed.get("data") or [] if isinstance(price, dict)]
    return [price for price in prices if as_dict(price.get("recurring"))]  # what is paid once is no plan


def _expand(names: Sequence[str]) -> dict[str, list[str]]:
    return {"expand": list(names)} if names else {}


def _choice(price: Values) -> Values:
    recurring = as_dict(price.get("recurring"))
    return {
        "price_id": as_id(price.get("id")),
        "interval": as_text(recurring.get("interval")),
        "interval_count": as_integer(recurring.get("interval_count")),
        "currency": as_text(price.get("currency")),
        "unit_amount": as_integer(price.get("unit_amount")),
    }
