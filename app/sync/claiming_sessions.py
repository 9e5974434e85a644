"""The checkout session that claims a customer or a subscription of which there is no record.

A record that was deleted, and one that is imported, would else lose what only its session says of the user:
the event that told of it was applied long ago, or never came.
"""

from typing import Any

import structlog

from ..errors import NotFound, StripeRefused
from ..stripe.client import StripeApi
from ..stripe.objects import as_seconds, as_user_id

log = structlog.get_logger(__name__)

Json = dict[str, Any]


async def claiming_sessions(api: StripeApi, kind: str, content: Json, at: int) -> list[tuple[Json, int]]:
    """The completed session that created the subscription, or the first that refers a customer to a user;
    with the moment that its claim is of (Unix seconds).

    None where the key may not read sessions.

    Raises:
        StripeUnavailable: when Stripe cannot be asked now.
    """
    try:
        listed = await api.get("/v1/checkout/sessions", limit=100, **{kind: str(content["id"])})
    except (NotFound, StripeRefused) as error:
        log.warning("sessions_not_read", kind=kind, object_id=content["id"], error=error.detail)
        return []
    completed = [each for each in listed.content.get("data") or [] if each.get("status") == "complete"]
    if kind == "customer":
        completed = [each for each in completed if as_user_id(each.get("client_reference_id"))][-1:]
    made = as_seconds(content.get("created")) if kind == "subscription" else None
    return [(each, min(made or as_seconds(each.get("created")) or at, at)) for each in completed]
