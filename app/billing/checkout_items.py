"""What the lines of an order buy: each a price, with its plan or add-on from the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidRequest, NotFound
from ..plans import Catalogue, HeldItem, Ignored, Offer, Plan
from ..service import Service
from .checkout_order import Order, OrderItem
from .customers import stripe_of
from .price_choice import check_is_sold, first_price, owner_of, price_for
from .quantities import check_quantity

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A price to sell, and what it buys. `quantity` None: it is metered."""

    price_id: str
    quantity: int | None
    offer: Offer | Ignored

    def params(self) -> Json:
        """As Stripe is sent it."""
        return {"price": self.price_id} | ({} if self.quantity is None else {"quantity": self.quantity})

    def held(self) -> HeldItem:
        """As an item of the subscription that is bought."""
        offer = None if isinstance(self.offer, Ignored) else self.offer
        return HeldItem("", self.price_id, offer, self.quantity)


async def lines_of(service: Service, order: Order) -> list[Line]:
    """The lines of an order. A price that the catalogue does not know would give nothing.

    Raises:
        Conflict: with `choices`, when a plan or an add-on is sold at several prices.
        InvalidRequest: when a plan, an add-on, a price or a quantity is not sold; when a price is there
            twice; when there are two plans, or nothing but prices that grant nothing.
        NotFound: when the catalogue has no such plan, add-on or price.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    lines = [await _line(service, order, item) for item in order.lines]
    _check_unique(lines)
    _check_combination(lines)
    return lines


def plan_of(lines: Sequence[Line]) -> Plan | None:
    """The plan that is bought; None where add-ons are bought alone."""
    return next((line.offer for line in lines if isinstance(line.offer, Plan)), None)


async def check_addons(service: Service, order: Order, lines: Sequence[Line]) -> None:
    """Add-ons alone are sold to a user who has a plan: they add to its limits.

    Raises:
        InvalidRequest: when the user has no plan, bought or granted, as it is known here.
    """
    if plan_of(lines) is not None:
        return
    held = await service.limits.load(order.user_id)
    if not any(each.plan is not None for each in held.entitling):
        raise InvalidRequest(
            "An add-on is sold beside a plan, and the user has none: add the plan to the items. Nothing was "
            "changed."
        )


async def _line(service: Service, order: Order, item: OrderItem) -> Line:
    api, _ = stripe_of(service)
    catalogue = service.limits.catalogue
    offer: Offer | Ignored
    if item.price_id is not None:
        price_id, offer = item.price_id, await owner_of(service, api, item.price_id)
        if not isinstance(offer, Ignored):
            check_is_sold(catalogue, offer, price_id)
    else:
        offer = _named(catalogue, item)
        check_is_sold(catalogue, offer)
        if order.interval is None and order.currency is None:
            price_id = await first_price(api, offer)
        else:
            price_id = await price_for(api, offer, every=order.interval, currency=order.currency)
    check_quantity(None if isinstance(offer, Ignored) else offer, item.quantity)
    return Line(price_id, item.quantity, offer)


def _named(catalogue: Catalogue, item: OrderItem) -> Offer:
    if item.plan is not None:
        return catalogue.plan(item.plan)
    addon = catalogue.addons.get(item.addon or "")
    if addon is None:
        known = ", ".join(catalogue.addons) or "none"
        raise NotFound(
            f"No add-on {item.addon!r} is in the plan catalogue: use one of its add-ons ({known})."
        )
    return addon


def _check_unique(lines: Sequence[Line]) -> None:
    seen: set[str] = set()
    for line in lines:
        if line.price_id in seen:
            raise InvalidRequest(f"items: price {line.price_id} is there twice. Send one item with the sum.")
        seen.add(line.price_id)


def _check_combination(lines: Sequence[Line]) -> None:
    plans = {line.offer.id for line in lines if isinstance(line.offer, Plan)}
    if len(plans) > 1:
        raise InvalidRequest(f"items: one plan at a time, not {' and '.join(sorted(plans))}.")
    if not any(isinstance(line.offer, Offer) for line in lines):
        raise InvalidRequest("items: a plan is missing. Prices under [ignored] are sold beside one.")
