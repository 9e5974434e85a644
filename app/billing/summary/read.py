"""Read what a summary is made of, as of one moment."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ...db.models import EventState, Invoice, WebhookEvent
from ...db.ownership import owned_by
from ...entitlements import secondary_customers
from ...limits.loading import read_entry
from ...limits.prices import read_pricing
from ...plans import price_ids
from ...service import Service
from ..pricing import completed
from .build import summarize
from .schemas import Summary


async def read_summary(service: Service, user_id: str) -> Summary:
    """What a billing page shows of the user; an unknown user has the default plan.

    Loaded afresh, in one snapshot: somebody who has just paid wants to see it.
    """
    async with service.database.reading() as session:
        connection = await session.connection()
        entry = await read_entry(connection, user_id, service.limits.catalogue, int(service.clock()))
        owned = await owned_by(session, user_id)
        hidden = secondary_customers(owned.customers, owned.subscriptions)
        is_open = owned.invoices(hidden) & (col(Invoice.status) == "open")
        invoices = (await session.exec(select(Invoice).where(is_open))).all()
        held = {price for row in owned.subscriptions for price in price_ids(row.items, None, row.plan_id)}
        pricing = await read_pricing(connection, service.limits.catalogue, held)
        waiting = await _action_required(session, [invoice.id for invoice in invoices])
    pricing = await completed(service, pricing, held)
    return summarize(entry.entitlements, owned.subscriptions, invoices, waiting, pricing)


async def _action_required(session: AsyncSession, invoices: list[str]) -> set[str]:
    """The invoices whose payment a bank wanted confirmed. The record does not say so, the inbox does."""
    if not invoices:
        return set()
    query = select(WebhookEvent.object_id).where(
        col(WebhookEvent.object_id).in_(invoices),
        col(WebhookEvent.type) == "invoice.payment_action_required",
        col(WebhookEvent.state) == EventState.PROCESSED,
    )
    return {object_id for object_id in await session.exec(query) if object_id is not None}
