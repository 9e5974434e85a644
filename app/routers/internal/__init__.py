"""The internal API, for the application's other services: everything under `/internal`, behind a key."""

from fastapi import APIRouter, Security

from . import changes, checkout, customers, events, limits, overrides, portal, subscriptions, summary, users
from .keys import api_key_header
from .responses import BODY_REFUSED, INVALID, UNAUTHORIZED, UNAVAILABLE

router = APIRouter(
    prefix="/internal",
    tags=["internal"],
    dependencies=[Security(api_key_header)],
    responses=UNAUTHORIZED | BODY_REFUSED | INVALID | UNAVAILABLE,
)
for part in (subscriptions, changes, checkout, portal, customers, users, summary, limits, overrides, events):
    router.include_router(part.router)
