"""The checkout session that claims a customer or a subscription of which there is no record.

A record that was deleted, and one that is imported, would else lose what only its session says of the user:
the event that told of it was applied long ago, or never came.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlmodel import col, select

from ..db import Database
from ..db.models import Customer, Subscription
from ..errors import NotFound, StripeRefused
from ..stripe.client import StripeApi
from ..stripe.objects import ENDED, as_seconds, as_user_id, named_user

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


@dataclass(frozen=True, slots=True)
class LostClaim:
    """A checkout session that names the user of a subscription, and of which no event came.

    `completed_at` in Unix seconds.
    """

    user_id: str
    session: Json
    completed_at: int


class LostClaims:
    """Finds the users of running subscriptions that have none here, by the checkout sessions that name them.

    An event of a subscription may come before the first import: its record is whole then, but for the user.
    """

    def __init__(self, database: Database, api: StripeApi, link_keys: Sequence[str]) -> None:
        self._database = database
        self._api = api
        self._link_keys = link_keys

    async def find(
        self, contents: Iterable[Json], rows: Mapping[str, object], at: int
    ) -> dict[str, LostClaim]:
        """The claims of those of the subscriptions, by their ids. `at` in Unix seconds.

        Raises:
            StripeUnavailable: when Stripe cannot be asked now.
        """
        found: dict[str, LostClaim] = {}
        for content in contents:
            row = rows.get(content["id"])
            if not isinstance(row, Subscription) or not await self._is_unclaimed(row, content):
                continue
            for session, completed_at in await claiming_sessions(self._api, "subscription", content, at):
                reference = as_user_id(session.get("client_reference_id"))
                if user_id := named_user(session, self._link_keys) or reference:
                    found[row.id] = LostClaim(user_id, session, completed_at)
        return found

    async def _is_unclaimed(self, row: Subscription, content: Json) -> bool:
        """Whether nobody said so far whose it is, as an internal link to nobody does."""
        if row.user_id is not None or "session" in (row.links or {}) or content.get("status") in ENDED:
            return False
        async with self._database.reading() as session:
            query = select(Customer.links).where(col(Customer.id) == row.customer_id)
            links = (await session.exec(query)).first() or {}
        return "internal" not in links and "checkout" not in links
