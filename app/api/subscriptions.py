"""`/internal/subscription/update` and `/internal/subscriptions/{subscription_id}`."""

from fastapi import APIRouter

from ..errors import NotFound
from ..operations import links
from ..service import Running, Service
from ..stripe.objects import as_id
from . import queries
from .auth import Actor, GuardedRoute
from .responses import CONFLICT, NOT_FOUND
from .schemas import SubscriptionOut, SubscriptionUpdate

router = APIRouter(route_class=GuardedRoute)


@router.post("/subscription/update", responses=CONFLICT)
async def update_subscription(update: SubscriptionUpdate, service: Running, actor: Actor) -> SubscriptionOut:
    """Create or update a subscription from another service.

    Overrides what Stripe has sent so far, until Stripe sends a newer snapshot of this subscription. 409, and
    nothing changed, for a subscription that Stripe has ended or that belongs to another customer.
    """
    await links.update_subscription(
        service, update.subscription_id, update.customer_id, update.model_dump(), actor=actor
    )
    return await stored_subscription(service, update.subscription_id)


@router.get("/subscriptions/{subscription_id}", responses=NOT_FOUND)
async def get_subscription(subscription_id: str, service: Running) -> SubscriptionOut:
    """A subscription as it stands."""
    return await stored_subscription(service, subscription_id)


async def stored_subscription(service: Service, subscription_id: str) -> SubscriptionOut:
    """The subscription as it stands.

    Raises:
        NotFound: when it is not known.
    """
    if as_id(subscription_id):
        async with service.database.reading() as session:
            if found := await queries.subscription(session, service, subscription_id):
                return found
    raise NotFound("No subscription with this id is known here.")
