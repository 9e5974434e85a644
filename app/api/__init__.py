"""The internal API, for the application's other services: everything under `/internal`, behind a key."""

from fastapi import APIRouter, Security

from . import (
    checkout,
    checks,
    customers,
    events,
    explanation,
    grants,
    limits,
    one_time,
    outbox,
    overrides,
    plans,
    portal,
    reservations,
    seats,
    subscription_changes,
    subscriptions,
    summary,
    usage,
    usage_history,
    users,
    webhooks_out,
)
from .auth import api_key_header
from .responses import BODY_REFUSED, INVALID, UNAUTHORIZED, UNAVAILABLE

router = APIRouter(
    prefix="/internal",
    generate_unique_id_function=lambda route: route.name,
    dependencies=[Security(api_key_header)],
    responses=UNAUTHORIZED | BODY_REFUSED | INVALID | UNAVAILABLE,
)
SUBJECTS = {
    "subscriptions": (subscriptions, subscription_changes, seats),
    "plans": (plans,),
    "checkout": (checkout, one_time, portal),
    "customers": (customers,),
    "users": (users, summary),
    "limits": (limits, explanation, usage, usage_history, reservations, overrides, grants),
    "events": (events,),
    "outbox": (outbox, webhooks_out),
    "checks": (checks,),
}
"""The routes by the tag that the OpenAPI description and the clients made from it group them by."""

for subject, parts in SUBJECTS.items():
    for part in parts:
        router.include_router(part.router, tags=[subject])
