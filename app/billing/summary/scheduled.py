"""The change of a subscription that its schedule plans, as data for pages and answers."""

from ...db.models import Subscription
from ...limits.prices import read_prices
from ...plans import Addon, Plan, PriceList, held_items, main_item
from ...service import Service
from ...stripe.objects import ENDED
from ...stripe.schedules import planned_change
from .schemas import ScheduledChange, ScheduledItem


def scheduled_change(row: Subscription, prices: PriceList, now: int) -> ScheduledChange | None:
    """What is planned for the subscription; None where nothing is. `now` in Unix seconds."""
    if row.status in ENDED:
        return None
    planned = planned_change(row.schedule_id, row.schedules, now)
    if planned is None:
        return None
    items = [{"price_id": price, "quantity": quantity} for price, quantity in planned.items]
    main = main_item(held_items(items, None, prices))
    return ScheduledChange(
        at=planned.at,
        plan=main.plan.id if main is not None and main.plan is not None else None,
        items=[_item(price, quantity, prices) for price, quantity in planned.items],
    )


async def read_scheduled_change(service: Service, subscription_id: str) -> ScheduledChange | None:
    """What is planned for the stored subscription; None where nothing is, or it is not known."""
    async with service.database.reading() as session:
        row = await session.get(Subscription, subscription_id)
        if row is None:
            return None
        known = await read_prices(await session.connection(), [row])
    return scheduled_change(row, PriceList(service.limits.catalogue, known), int(service.clock()))


def _item(price: str | None, quantity: int | None, prices: PriceList) -> ScheduledItem:
    offer = prices.offer(price)
    return ScheduledItem(
        price_id=price,
        plan=offer.id if isinstance(offer, Plan) else None,
        addon=offer.id if isinstance(offer, Addon) else None,
        quantity=quantity,
    )
