"""What the routes read, each in a fixed number of queries."""

from collections.abc import Sequence
from math import inf

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Invoice, Subscription
from ..db.ownership import Owned
from ..entitlements import access, ended_with, main_item_values, owed_by_subscription, with_values
from ..limits.prices import read_prices
from ..plans import Catalogue, PriceList
from ..service import Service
from .schemas import InvoiceOut, SubscriptionOut


async def subscription(
    session: AsyncSession, service: Service, subscription_id: str
) -> SubscriptionOut | None:
    row = await session.get(Subscription, subscription_id)
    if row is None:
        return None
    customer = await session.get(Customer, row.customer_id) if row.customer_id else None
    return (await _judged(session, service, [(row, customer)]))[0]


async def subscriptions_of(
    session: AsyncSession, service: Service, customer: Customer
) -> list[SubscriptionOut]:
    """All subscriptions of a customer, whosever they are, the latest started first."""
    rows = await session.exec(select(Subscription).where(col(Subscription.customer_id) == customer.id))
    return await _judged(session, service, [(row, customer) for row in sorted(rows, key=_latest_first)])


async def owned_subscriptions(session: AsyncSession, service: Service, owned: Owned) -> list[SubscriptionOut]:
    """A user's own subscriptions, the latest started first."""
    by_id = {customer.id: customer for customer in owned.all_customers}
    rows = sorted(owned.subscriptions, key=_latest_first)
    return await _judged(session, service, [(row, by_id.get(row.customer_id or "")) for row in rows])


def _latest_first(row: Subscription) -> tuple[float, str]:
    return -(row.start_date if row.start_date is not None else inf), row.id


async def _judged(
    session: AsyncSession, service: Service, found: Sequence[tuple[Subscription, Customer | None]]
) -> list[SubscriptionOut]:
    """The subscriptions with what each grants by the catalogue's access policy."""
    is_theirs = col(Invoice.subscription_id).in_([row.id for row, _ in found])
    invoices = await session.exec(select(Invoice).where(is_theirs, col(Invoice.status) == "open"))
    owed = owed_by_subscription(invoices)
    catalogue: Catalogue = service.limits.catalogue
    prices = PriceList(catalogue, await read_prices(await session.connection(), [row for row, _ in found]))
    now = int(service.clock())
    judged = []
    for row, customer in found:
        own = main_item_values(row, prices)
        granted = access(
            with_values(row, own), ended_with(customer, row), owed.get(row.id), catalogue.access, now
        )
        judged.append(SubscriptionOut.of(row, customer, granted.level, own))
    return judged


async def invoices_where(session: AsyncSession, condition: ColumnElement[bool]) -> list[InvoiceOut]:
    """The invoices that fit the condition, the latest first."""
    query = select(Invoice).where(condition).order_by(col(Invoice.created).desc(), col(Invoice.id))
    return [InvoiceOut.of(row) for row in await session.exec(query)]
