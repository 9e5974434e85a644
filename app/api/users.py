"""`/internal/users/{user_id}`."""

from fastapi import APIRouter

from ..db.ownership import owned_by
from ..entitlements import secondary_customers
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
    """A user of the application, over all customers that are linked to it and pay for it.

    The invoices of a customer that only a `client_reference_id` links, beside one with a stronger link, are
    left out: their pay links are not for this user.
    """
    if not as_id(user_id):
        raise _unknown()
    async with service.database.reading() as session:
        owned = await owned_by(session, user_id)
        if not owned.customers and not owned.subscriptions:
            raise _unknown()
        shown = [row for row in owned.all_customers if row.user_id in (None, user_id)]
        hidden = secondary_customers(owned.customers, owned.subscriptions)
        summaries = [CustomerSummary.of(row).model_dump(exclude={"user_id"}) for row in shown]
        return UserOut(
            user_id=user_id,
            customers=[UserCustomer(**summary) for summary in summaries],
            subscriptions=await queries.owned_subscriptions(session, service, owned),
            invoices=await queries.invoices_where(session, owned.invoices(hidden)),
        )


def _unknown() -> NotFound:
    return NotFound("No customer is linked to a user with this id. PUT /internal/customers/{id} links one.")
