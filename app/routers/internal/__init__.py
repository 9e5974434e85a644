"""The internal API, for the application's other services: everything under `/internal`, behind a key."""

from fastapi import APIRouter, Security

from . import customers, events, limits, overrides, subscriptions, summary, users
from .keys import api_key_header
from .responses import INVALID, UNAUTHORIZED, UNAVAILABLE

router = APIRouter(
    prefix="/internal",
    tags=["internal"],
    dependencies=[Security(api_key_header)],
    responses=UNAUTHORIZED | INVALID | UNAVAILABLE,
)
for part in (subscriptions, customers, users, summary, limits, overrides, events):
    router.include_router(part.router)
