"""A subscription just before it is changed: as Stripe has it, and what a change would put over its limit."""

import re
from collections.abc import Sequence

from ..db.models import Customer, Subscription
from ..db.ownership import user_of
from ..entitlements import FeaturePreview
from ..errors import Conflict, NotFound
from ..inbox.handlers.subscription_columns import subscription_columns
from ..limits.prices import read_prices
from ..plans import HeldItem, PriceList, held_items, main_item
from ..service import Service
from ..stripe.client import promptly
from ..stripe.objects import ENDED
from .customers import stripe_of
from .over_usage import refuse_over
from .stripe_changes import Current, apply_if_newer

ID = re.compile(r"[A-Za-z0-9_]{1,255}")
"""What may stand in an address at Stripe."""


async def read_current(service: Service, subscription_id: str) -> Current:
    """The subscription as Stripe has it now.

    Raises:
        Conflict: when it has ended, or has no item.
        NotFound: when it is not known here.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be read now.
    """
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
    return Current(subscription_id, values, answer.content, answer.at, item, record, prices, user_id)


async def _stored(service: Service, subscription_id: str) -> tuple[Subscription, PriceList, str | None]:
    """The record, its prices and its user. Only what is known here is asked of Stripe."""
    async with service.database.reading() as session:
        row = await session.get(Subscription, subscription_id) if ID.fullmatch(subscription_id) else None
        if row is None:
            raise NotFound("No subscription with this id is known here.")
        customer = await session.get(Customer, row.customer_id) if row.customer_id else None
        known = await read_prices(await session.connection(), [row])
    return row, PriceList(service.limits.catalogue, known), user_of(row, customer)


async def check_limits(service: Service, current: Current, items: Sequence[HeldItem] | None) -> None:
    """`items`: those afterwards; None: it ends.

    Raises:
        Conflict: when usage would exceed a limit that the change makes smaller.
    """
    refuse_over(await exceeded(service, current, items))


async def exceeded(
    service: Service, current: Current, items: Sequence[HeldItem] | None
) -> dict[str, FeaturePreview]:
    """The features of which more is used than there would be with these items; None: once it ended."""
    if current.user_id is None:
        return {}
    previews = await service.limits.preview_subscription(current.user_id, current.id, items=items)
    return {key: each for key, each in previews.items() if each.over and _shrinks(each)}


def _shrinks(each: FeaturePreview) -> bool:
    """Whoever is over a limit already, and gets more, need not confirm that."""
    return each.limit_then is not None and (each.limit_now is None or each.limit_then < each.limit_now)
