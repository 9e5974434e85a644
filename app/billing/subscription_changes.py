"""Changes to a subscription that are made at Stripe: another plan or quantity, its end, taking that back.

What would be over its limit is said first, and the change made once that is confirmed. Nothing is locked
while Stripe is asked. What Stripe answers is applied at once, with its entry in the audit trail.
"""

import re
from typing import Any

import structlog

from ..db.models import Customer, Subscription
from ..db.ownership import user_of
from ..entitlements import FeaturePreview
from ..errors import Conflict, InvalidRequest, NotFound
from ..inbox.handlers.subscription_columns import subscription_columns
from ..limits.prices import read_prices
from ..plans import Addon, Offer, PauseCause, Plan, PriceList, held_items, main_item, pause_cause
from ..service import Service
from ..stripe.client import Answer, promptly
from ..stripe.objects import ENDED, Values
from .customers import stripe_of
from .price_choice import check_is_sold, plan_of_price, price_like, quantity_for
from .stripe_changes import Current, apply_if_newer, make_change

log = structlog.get_logger(__name__)

ATTEMPTS = 5
ID = re.compile(r"[A-Za-z0-9_]{1,255}")
"""What may stand in an address at Stripe."""
IN_STRIPE = "resume it in Stripe's Dashboard"
HOW_TO_RESUME: dict[PauseCause, str] = {
    "payment_failed": f"send the user to the open invoice to pay it; if it is still paused then, {IN_STRIPE}",
    "trial_ended": f"send the user to the portal to add a payment method, and {IN_STRIPE}",
    "requested": IN_STRIPE,
    "system": IN_STRIPE,
    "unknown": f"where a payment method is missing, send the user to the portal to add one; {IN_STRIPE}",
}
"""What to do about a pause of the whole subscription ("Pause subscriptions"), by its cause."""


async def change_subscription(
    service: Service,
    subscription_id: str,
    *,
    actor: str,
    plan: str | None = None,
    price_id: str | None = None,
    quantity: int | None = None,
    confirm: bool = False,
) -> None:
    """Put the subscription on another plan, price or quantity; what is not given stays.

    Of a plan's prices it is the one with the interval and currency that the subscription has. Stripe
    charges or credits the difference with the next invoice (its default, `create_prorations`).

    Raises:
        Conflict: with `over`, when usage would exceed a limit that falls, unless confirmed; with `choices`,
            when the plan has no such price; when it ended; when it is an add-on's own subscription.
        InvalidRequest: when nothing or too much is given, the price is no plan's, the quantity buys
            nothing, or the plan or its price is no longer sold.
        NotFound: when the subscription, plan or price is not known.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    wanted = _named_plan(service, plan, price_id, quantity)
    bought = wanted if price_id is None else await plan_of_price(service, api, price_id)
    current = await _current(service, subscription_id)
    item = current.item
    if plan is not None or price_id is not None:
        _check_is_no_addon(current)
    if wanted is not None and wanted is not item.plan:
        check_is_sold(service.limits.catalogue, wanted)
        price_id = await price_like(api, wanted, current.main_values)
    price_id = price_id or item.price_id
    bought = bought or current.prices.plan(price_id)
    if bought is not None and price_id != item.price_id:
        check_is_sold(service.limits.catalogue, bought, price_id)
    quantity = quantity_for(bought, asked=quantity, had=item.quantity)
    if not confirm:
        await _check_limits(service, current, price_id=price_id, quantity=quantity, offer=bought)
    # The quantity is always sent along: with another price, Stripe would begin again at one.
    wanted_item = {"id": item.item_id, "price": price_id, "quantity": quantity}
    items = [{key: value for key, value in wanted_item.items() if value is not None}]
    change = api.post(current.path, items=items)
    await make_change(service, current, change, actor=actor, action="subscription.changed")


async def cancel_subscription(
    service: Service,
    subscription_id: str,
    *,
    actor: str,
    at_period_end: bool = True,
    confirm: bool = False,
) -> None:
    """End the subscription with its period, or at once; nothing is paid back.

    Raises:
        Conflict: with `over`, when usage would exceed what remains then, unless confirmed; when it has ended.
        NotFound: when the subscription is not known.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    current = await _current(service, subscription_id)
    if not confirm:
        await _check_limits(service, current, price_id=None, quantity=None)
    change = (
        api.post(current.path, cancel_at_period_end=True) if at_period_end else _cancel_now(service, current)
    )
    await make_change(service, current, change, actor=actor, action="subscription.canceled")


async def resume_subscription(service: Service, subscription_id: str, *, actor: str) -> None:
    """Take a planned end back, and a pause of collection; without either, nothing is changed.

    Raises:
        Conflict: when it has ended, or is paused for want of a payment method.
        NotFound: when the subscription is not known.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    current = await _current(service, subscription_id)
    if current.values["status"] == "paused":
        remedy = HOW_TO_RESUME[pause_cause(current.values["pause_cause"])]
        raise Conflict(f"Subscription {subscription_id} is paused: {remedy}. Nothing was changed.")
    if changes := _resumption(current.values):
        change = api.post(current.path, **changes)
        await make_change(service, current, change, actor=actor, action="subscription.resumed")


def _resumption(values: Values) -> dict[str, Any]:
    """What to ask of Stripe, where an empty text clears."""
    changes: dict[str, Any] = {}
    if values["cancel_at_period_end"]:
        changes["cancel_at_period_end"] = False
    elif values["cancel_at"] is not None:
        changes["cancel_at"] = ""
    if values["pause_collection"] is not None:
        changes["pause_collection"] = ""
    return changes


def _named_plan(
    service: Service, plan: str | None, price_id: str | None, quantity: int | None
) -> Plan | None:
    """The plan to change to by its name; None where a price or only the quantity is given."""
    if (plan is not None and price_id is not None) or (plan, price_id, quantity) == (None, None, None):
        raise InvalidRequest("Give a plan or a price_id, or a quantity, or one of those and a quantity.")
    return service.limits.catalogue.plan(plan) if plan is not None else None


def _check_is_no_addon(current: Current) -> None:
    """
    Raises:
        Conflict: when the subscription has add-ons and no plan: a plan would take an add-on's place.
    """
    offer = current.item.offer
    if isinstance(offer, Addon):  # a plan's item, or one of an unmapped price, would be the main one
        raise Conflict(
            f"Subscription {current.id} is of an add-on ({offer.id}), and has no plan to change. Nothing was "
            "changed. Change the plan's own subscription, or sell the plan by a checkout session."
        )


async def _current(service: Service, subscription_id: str) -> Current:
    """The subscription as Stripe has it now."""
    api, _ = stripe_of(service)
    record, prices, user_id = await _stored(service, subscription_id)
    answer = await promptly(api.read("subscription", subscription_id))
    values, _ = subscription_columns(answer.content, answer.at, record, prices)
    if values["status"] in ENDED:
        await apply_if_newer(service, answer, record.version)
        raise Conflict(
            f"Stripe has ended subscription {subscription_id} ({values['status']}); nothing was changed."
        )
    item = main_item(held_items(values["items"], record.item_history, prices))
    if item is None:
        raise Conflict(f"Subscription {subscription_id} has no item. Change it in Stripe's Dashboard.")
    return Current(subscription_id, values, item, record, prices, user_id)


async def _stored(service: Service, subscription_id: str) -> tuple[Subscription, PriceList, str | None]:
    """The record, its prices and its user. Only what is known here is asked of Stripe."""
    async with service.database.reading() as session:
        row = await session.get(Subscription, subscription_id) if ID.fullmatch(subscription_id) else None
        if row is None:
            raise NotFound("No subscription with this id is known here.")
        customer = await session.get(Customer, row.customer_id) if row.customer_id else None
        known = await read_prices(await session.connection(), [row])
    return row, PriceList(service.limits.catalogue, known), user_of(row, customer)


async def _check_limits(
    service: Service,
    current: Current,
    *,
    price_id: str | None,
    quantity: int | None,
    offer: Offer | None = None,
) -> None:
    """`offer`: what the price buys.

    Raises:
        Conflict: when usage would exceed a limit that the change makes smaller.
    """
    if current.user_id is None:
        return
    previews = await service.limits.preview_subscription(
        current.user_id, current.id, price_id=price_id, quantity=quantity, offer=offer
    )
    over = {key: each for key, each in previews.items() if each.over and _shrinks(each)}
    if over:
        listed = ", ".join(f"{key} ({each.used} used, limit {each.limit_then})" for key, each in over.items())
        raise Conflict(
            f'It would be over: {listed}. Nothing was changed. With "confirm": true it is done all the same: '
            "nothing is deleted, but growth is denied.",
            over={key: _shown_preview(each) for key, each in over.items()},
        )


def _shrinks(each: FeaturePreview) -> bool:
    """Whoever is over a limit already, and gets more, need not confirm that."""
    return each.limit_then is not None and (each.limit_now is None or each.limit_then < each.limit_now)


def _shown_preview(each: FeaturePreview) -> dict[str, int | None]:
    return {
        "limit_now": each.limit_now,
        "limit_then": each.limit_then,
        "used": each.used,
        "over": each.over,
    }


async def _cancel_now(service: Service, current: Current) -> Answer:
    api, _ = stripe_of(service)
    try:
        return await api.delete(current.path)
    except NotFound:
        # It is gone as soon as it is canceled: also for a request repeated because its answer was lost.
        answer = await api.read("subscription", current.id)
        if answer.content.get("status") not in ENDED:
            raise
        return answer
