"""`/internal/users/{user_id}`."""

from fastapi import APIRouter
from sqlmodel import col, select

from ..db.models import Customer
from ..errors import NotFound
from ..service import Running
from ..stripe.objects import as_id
from . import queries
from .auth import GuardedRoute
from .responses import NOT_FOUND
from .schemas import CustomerSummary, UserCustomer, UserOut

router = APIRouter(prefix="/users", route_class=GuardedRoute)


@router.get("/{user_id}", responses=NOT_FOUND)
async def get_user(user_id: str, service: Running) -> UserOut:
    """A user of the application, over all customers that are linked to it."""
    if not as_id(user_id):
        raise _unknown()
    async with service.database.reading() as session:
        query = select(Customer).where(col(Customer.user_id) == user_id).order_by(col(Customer.id))
        customers = list(await session.exec(query))
        if not customers:
            raise _unknown()
        summaries = [CustomerSummary.of(row).model_dump(exclude={"user_id"}) for row in customers]
        return UserOut(
            user_id=user_id,
            customers=[UserCustomer(**summary) for summary in summaries],
            subscriptions=await queries.subscriptions_of(session, service, customers),
            invoices=await queries.invoices_of(session, customers),
        )


def _unknown() -> NotFound:
    return NotFound("No customer is linked to a user with this id. PUT /internal/customers/{id} links one.")
