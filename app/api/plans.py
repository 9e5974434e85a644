"""`/internal/plans`: what a pricing page shows."""

from typing import Annotated

from fastapi import APIRouter, Query

from ..billing.pricing import Sold, read_pricing
from ..service import Running
from .auth import GuardedRoute

router = APIRouter(route_class=GuardedRoute)

Currency = Annotated[
    str | None, Query(pattern="^[A-Za-z]{3}$", description="Only prices in this currency, such as `eur`")
]


@router.get("/plans")
async def get_plans(service: Running, currency: Currency = None) -> Sold:
    """What is sold: plans and add-ons with their names, features, prices and trials.

    Amounts are as Stripe last said. Without STRIPE_API_KEY only those that an event told of are known.
    """
    return await read_pricing(service, currency)
