"""`/internal/customers`."""

from fastapi import APIRouter
from sqlmodel import col, select

from ..checks.records import unlinked
from ..db.keyset import in_key_order
from ..db.models import Customer, Invoice
from ..errors import NotFound
from ..operations import links
from ..service import Running, Service
from ..stripe.objects import as_id
from . import queries
from .auth import Actor, GuardedRoute
from .pagination import Cursor, Limit, decode_cursor, page_of
from .responses import NOT_FOUND
from .schemas import CustomerLink, CustomerOut, CustomerSummary, LinkedCustomerOut, Page, StayingSubscription

router = APIRouter(prefix="/customers", route_class=GuardedRoute)


@router.get("")
async def list_customers(
    service: Running, linked: bool | None = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[CustomerSummary]:
    """The customers. `linked=false`: those with a live subscription that is nobody's."""
    after = None if cursor is None else decode_cursor(cursor, str)
    query = in_key_order(select(Customer), [col(Customer.id)], after).limit(limit + 1)
    if linked is True:
        query = query.where(col(Customer.user_id).is_not(None))
    if linked is False:
        query = query.where(col(Customer.deleted).is_(False), col(Customer.id).in_(unlinked()))
    async with service.database.reading() as session:
        rows = list(await session.exec(query))
    page, following = page_of(rows, limit, lambda row: (row.id,))
    return Page(data=[CustomerSummary.of(row) for row in page], next_cursor=following)


@router.get("/{customer_id}", responses=NOT_FOUND)
async def get_customer(customer_id: str, service: Running) -> CustomerOut:
    """A customer, with all subscriptions and invoices."""
    return await _stored(service, customer_id)


@router.put("/{customer_id}", responses=NOT_FOUND)
async def link_customer(
    customer_id: str, link: CustomerLink, service: Running, actor: Actor
) -> LinkedCustomerOut:
    """Link the customer to a user of the application, link it to another one, or (null) to none.

    This stands above any metadata and any checkout, until the next call. Its subscriptions that named the
    former user, or nobody, follow; `stays` lists those that name another one.
    """
    await links.link_customer(service, customer_id, link.user_id, actor=actor)
    stored = await _stored(service, customer_id)
    stays = [
        StayingSubscription(subscription_id=each.subscription_id, user_id=each.user_id)
        for each in stored.subscriptions
        if each.user_id != stored.user_id
    ]
    return LinkedCustomerOut(**stored.model_dump(), stays=stays)


async def _stored(service: Service, customer_id: str) -> CustomerOut:
    if not as_id(customer_id):
        raise _unknown()
    async with service.database.reading() as session:
        row = await session.get(Customer, customer_id)
        if row is None:
            raise _unknown()
        return CustomerOut(
            **CustomerSummary.of(row).model_dump(),
            subscriptions=await queries.subscriptions_of(session, service, row),
            invoices=await queries.invoices_where(session, col(Invoice.customer_id) == row.id),
        )


def _unknown() -> NotFound:
    return NotFound("No customer with this id is known here.")
