"""What the routes read, each in a fixed number of queries."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ...models import Customer, Invoice, Subscription
from .schemas import InvoiceOut, SubscriptionOut


async def subscription(session: AsyncSession, subscription_id: str) -> SubscriptionOut | None:
    row = await session.get(Subscription, subscription_id)
    if row is None:
        return None
    customer = await session.get(Customer, row.customer_id) if row.customer_id else None
    return SubscriptionOut.of(row, customer)


async def subscriptions_of(session: AsyncSession, customers: Sequence[Customer]) -> list[SubscriptionOut]:
    """The subscriptions of the customers, the latest started first."""
    by_id = {customer.id: customer for customer in customers}
    query = (
        select(Subscription)
        .where(col(Subscription.customer_id).in_(by_id))
        .order_by(col(Subscription.start_date).desc(), col(Subscription.id))
    )
    return [SubscriptionOut.of(row, by_id[row.customer_id or ""]) for row in await session.exec(query)]


async def invoices_of(session: AsyncSession, customers: Sequence[Customer]) -> list[InvoiceOut]:
    """The invoices of the customers, the latest first."""
    query = (
        select(Invoice)
        .where(col(Invoice.customer_id).in_([customer.id for customer in customers]))
        .order_by(col(Invoice.created).desc(), col(Invoice.id))
    )
    return [InvoiceOut.of(row) for row in await session.exec(query)]
