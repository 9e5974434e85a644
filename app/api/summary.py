"""`/internal/users/{user_id}/summary`: what the product's billing page shows."""

from fastapi import APIRouter

from ..billing.summary import Summary, read_summary
from ..errors import NotFound
from ..service import Running
from ..stripe.objects import as_id
from .auth import GuardedRoute
from .responses import NOT_FOUND

router = APIRouter(route_class=GuardedRoute)


@router.get("/users/{user_id}/summary", responses=NOT_FOUND)
async def get_summary(user_id: str, service: Running) -> Summary:
    """What a billing page shows of the user, as of now. An unknown user has the default plan."""
    if as_id(user_id) is None:
        raise NotFound("This cannot be the id of a user.")
    return await read_summary(service, user_id)
