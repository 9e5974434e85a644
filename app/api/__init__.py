"""The internal API, for the application's other services: everything under `/internal`, behind a key."""

from fastapi import APIRouter, Security

from . import (
    checkout,
    checks,
    customers,
    events,
    limits,
    overrides,
    portal,
    subscription_changes,
    subscriptions,
    summary,
    usage_history,
    users,
)
from .auth import api_key_header
from .responses import BODY_REFUSED, INVALID, UNAUTHORIZED, UNAVAILABLE

router = APIRouter(
    prefix="/internal",
    tags=["internal"],
    dependencies=[Security(api_key_header)],
    responses=UNAUTHORIZED | BODY_REFUSED | INVALID | UNAVAILABLE,
)
for part in (
    subscriptions,
    subscription_changes,
    checkout,
    portal,
    customers,
    users,
    summary,
    limits,
    usage_history,
    overrides,
    events,
    checks,
):
    router.include_router(part.router)
