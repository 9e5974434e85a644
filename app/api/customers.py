"""`/internal/customers`."""

from fastapi import APIRouter
from sqlmodel import col, exists, select

from ..db.models import Customer, Subscription
from ..errors import NotFound
from ..inbox.inbox import UPDATE_TIMEOUT_SECONDS
from ..operations.links import internal_event
from ..service import Running, Service
from ..stripe.objects import as_id
from . import queries
from .auth import Actor, GuardedRoute
from .pagination import Cursor, Limit, decode_cursor, encode_cursor
from .responses import NOT_FOUND
from .schemas import CustomerLink, CustomerOut, CustomerSummary, Page

router = APIRouter(prefix="/customers", route_class=GuardedRoute)


@router.get("")
async def list_customers(
    service: Running, linked: bool | None = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[CustomerSummary]:
    """The customers. `linked=false`: those with a subscription and no user, who may be locked out."""
    query = select(Customer).order_by(col(Customer.id)).limit(limit + 1)
    if cursor is not None:
        query = query.where(col(Customer.id) > decode_cursor(cursor, str)[0])
    if linked is True:
        query = query.where(col(Customer.user_id).is_not(None))
    if linked is False:
        has_subscription = exists().where(col(Subscription.customer_id) == col(Customer.id))
        query = query.where(
            col(Customer.user_id).is_(None), col(Customer.deleted).is_(False), has_subscription
        )
    async with service.database.reading() as session:
        rows = list(await session.exec(query))
    following = encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return Page(data=[CustomerSummary.of(row) for row in rows[:limit]], next_cursor=following)


@router.get("/{customer_id}", responses=NOT_FOUND)
async def get_customer(customer_id: str, service: Running) -> CustomerOut:
    """A customer, with all subscriptions and invoices."""
    return await _stored(service, customer_id)


@router.put("/{customer_id}", responses=NOT_FOUND)
async def link_customer(customer_id: str, link: CustomerLink, service: Running, actor: Actor) -> CustomerOut:
    """Link the customer to a user of the application, link it to another one, or (null) to none.

    This word stands above any metadata and any checkout, until the next call.
    """
    if not as_id(customer_id):
        raise _unknown()
    content = {"customer_id": customer_id, "user_id": link.user_id}
    delivery = internal_event(
        service, "internal.customer.linked", customer_id, content, actor, customer=customer_id
    )
    await service.inbox.accept(delivery, timeout_seconds=UPDATE_TIMEOUT_SECONDS)
    return await _stored(service, customer_id)


async def _stored(service: Service, customer_id: str) -> CustomerOut:
    if not as_id(customer_id):
        raise _unknown()
    async with service.database.reading() as session:
        row = await session.get(Customer, customer_id)
        if row is None:
            raise _unknown()
        return CustomerOut(
            **CustomerSummary.of(row).model_dump(),
            subscriptions=await queries.subscriptions_of(session, service, [row]),
            invoices=await queries.invoices_of(session, [row]),
        )


def _unknown() -> NotFound:
    return NotFound("No customer with this id is known here.")
