"""Which quantities of a plan or an add-on are sold."""

from ..errors import InvalidRequest
from ..plans import Offer, Plan


def quantity_for(plan: Plan | None, *, asked: int | None, had: int | None) -> int | None:
    """The quantity to send with a price of the plan: the one that is asked for, else the one that there was,
    within the plan's bounds.

    One of a plan without limits per unit where nothing else is asked for: five would be paid, and give one.

    Raises:
        InvalidRequest: when what is asked for would be paid, and give nothing, or is not sold.
    """
    check_quantity(plan, asked)
    if asked is not None or had is None or plan is None:
        return had if asked is None else asked
    kept = had if counts_units(plan) else min(had, 1)
    return within_bounds(plan, kept)


def within_bounds(offer: Offer, quantity: int) -> int:
    """The quantity, or the nearest one that is sold."""
    return max(min(quantity, offer.max_quantity or quantity), offer.min_quantity or quantity)


def check_quantity(offer: Offer | None, quantity: int | None) -> None:
    """
    Raises:
        InvalidRequest: for a quantity that would be paid, and give nothing; for none at all; and for fewer or
            more than the plan or the add-on is sold in.
    """
    if quantity is None:
        return
    if quantity == 0:
        raise InvalidRequest("quantity: 0 buys nothing. Cancel the subscription instead.")
    if offer is None:
        return
    if offer.min_quantity is not None and quantity < offer.min_quantity:
        raise InvalidRequest(
            f"quantity: {titled(offer)} is sold from {offer.min_quantity} on, not {quantity}."
        )
    if offer.max_quantity is not None and quantity > offer.max_quantity:
        raise InvalidRequest(f"quantity: {titled(offer)} is sold up to {offer.max_quantity}, not {quantity}.")
    if quantity > 1 and isinstance(offer, Plan) and not counts_units(offer):
        raise InvalidRequest(
            f"quantity: plan {offer.id!r} has no limit per unit, so {quantity} would be paid for what one "
            "gives. Send 1, or set per_unit for a limit in the plans file."
        )


def counts_units(plan: Plan) -> bool:
    """Whether any limit of the plan is times the quantity."""
    return any(limit.per_unit for limit in plan.limits.values())


def titled(offer: Offer) -> str:
    return f"Plan {offer.id!r}" if isinstance(offer, Plan) else f"Add-on {offer.id!r}"
