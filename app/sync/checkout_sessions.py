"""The checkout sessions that were opened here: a user has one that is open, and none once one is paid.

Opening a session supersedes the user's earlier ones, in the database and under the user's lock. What is
superseded is expired at Stripe ("Expire a Checkout Session"): at once by whoever opened the new one, else by
the running service, so that neither a kill nor an outage of Stripe leaves a session that can be paid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, CursorResult, Update, and_, exists, or_, update
from sqlmodel import col, select

from ..concurrency import run_all
from ..db import Database
from ..db.models import OpenedSession, Subscription
from ..entitlements import WEAK
from ..errors import NotFound, ServiceError, StripeRefused
from ..stripe.client import StripeApi
from ..stripe.paths import PATHS

log = structlog.get_logger(__name__)

Json = dict[str, Any]

LIVE = ("trialing", "active", "past_due", "unpaid", "paused")
"""The statuses of a subscription that goes on or can be made to; an incomplete one was never paid."""
BATCH = 50
"""Sessions that one turn looks at."""
AGAIN_SECONDS = 60
"""How long nobody else asks Stripe about a session that a process asks about, and after a failure."""
LATE_SECONDS = 600
"""How long after its end a session is taken for expired without asking: the clocks may differ."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that Stripe has just opened. Times in Unix seconds, by Stripe's clock."""

    id: str
    user_id: str
    allow_second: bool
    opened_at: int
    expires_at: int


class CheckoutSessions:
    """`clock` gives Unix seconds."""

    def __init__(self, database: Database, api: StripeApi, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._api = api
        self._clock = clock

    async def note(self, opened: Opened) -> bool:
        """Note a session before its buyer is sent to it, and supersede the user's others; whether it is the
        one to use. One that was superseded or closed is not: the request for it was sent again.
        """
        now = int(self._clock())
        async with self._database.session() as session:
            await self._database.hold(session, [f"checkout:{opened.user_id}"])
            known = await session.get(OpenedSession, opened.id)
            if known is not None:
                return known.superseded_at is None and known.closed_at is None
            if opened.expires_at <= now:
                return False
            others = col(OpenedSession.user_id) == opened.user_id
            await (await session.connection()).execute(_superseding(others, now=now))
            session.add(OpenedSession(**{name: getattr(opened, name) for name in Opened.__slots__}))
        return True

    async def note_paid(self, session_id: str, user_id: str, at: int) -> None:
        """Close a session that was paid, and supersede the user's others that were opened until then.

        `at`: when the subscription was made that it sold, by Stripe's clock.
        """
        earlier = (col(OpenedSession.user_id) == user_id, col(OpenedSession.opened_at) <= at)
        async with self._database.session() as session:
            await self._database.hold(session, [f"checkout:{user_id}"])
            connection = await session.connection()
            await connection.execute(_closing([session_id], int(self._clock())))
            await connection.execute(_superseding(*earlier, now=int(self._clock())))

    async def withdraw(self, session_id: str) -> None:
        """Supersede a session before anybody is sent to it."""
        async with self._database.session() as session:
            own = col(OpenedSession.id) == session_id
            await (await session.connection()).execute(_superseding(own, now=int(self._clock())))

    async def expire_superseded(self, user_id: str) -> list[Json]:
        """Expire the user's superseded sessions; those of them that were paid all the same.

        Raises:
            StripeRefused, StripeUnavailable: when Stripe cannot be asked; it is tried again by itself.
        """
        own = col(OpenedSession.user_id) == user_id
        ids = [each.id for each in await self._open(own, col(OpenedSession.superseded_at).is_not(None))]
        found = await run_all(self._close(id) for id in ids)
        return [content for content in found if content is not None and content.get("status") == "complete"]

    async def expire_due(self) -> int:
        """Expire what is superseded, and what is open of users who have bought since; how many were looked
        at."""
        now = int(self._clock())
        due = await self._open(_is_due(now))
        ended = [each.id for each in due if each.expires_at + LATE_SECONDS <= now]
        if ended:
            async with self._database.session() as session:
                await (await session.connection()).execute(_closing(ended, now))
        await run_all(self._close_later(each.id) for each in due if each.id not in ended)
        return len(due)

    async def _open(self, *conditions: ColumnElement[bool]) -> list[OpenedSession]:
        query = select(OpenedSession).where(col(OpenedSession.closed_at).is_(None), *conditions)
        async with self._database.reading() as session:
            return list(await session.exec(query.order_by(col(OpenedSession.id)).limit(BATCH)))

    async def _close_later(self, session_id: str) -> None:
        """As `_close`; what fails is tried again."""
        try:
            await self._close(session_id)
        except ServiceError as error:
            log.warning("session_not_expired", session_id=session_id, error=type(error).__name__)

    async def _close(self, session_id: str) -> Json | None:
        """Expire a session that is open at Stripe; as it is then. None where another process does it, or
        Stripe has no such session."""
        if not await self._lease(session_id):
            return None
        content = await self._expired(session_id)
        async with self._database.session() as session:
            await (await session.connection()).execute(_closing([session_id], int(self._clock())))
        return content

    async def _expired(self, session_id: str) -> Json | None:
        path = PATHS["checkout.session"].format(session_id)
        try:
            content = (await self._api.get(path)).content
            if content.get("status") != "open":
                return content
            try:
                return (await self._api.post(f"{path}/expire")).content
            except StripeRefused:
                content = (await self._api.get(path)).content
                if content.get("status") == "open":
                    raise
                return content  # paid, or expired, in between
        except NotFound:
            return None

    async def _lease(self, session_id: str) -> bool:
        now = int(self._clock())
        leased = update(OpenedSession).where(col(OpenedSession.id) == session_id, _is_free(now))
        async with self._database.session() as session:
            result: CursorResult[Any] = await (await session.connection()).execute(
                leased.values(next_attempt_at=now + AGAIN_SECONDS)
            )
            return result.rowcount == 1


def _superseding(*which: ColumnElement[bool], now: int) -> Update:
    """Mark those of the sessions that are open."""
    unmarked = (col(OpenedSession.superseded_at).is_(None), col(OpenedSession.closed_at).is_(None))
    return update(OpenedSession).where(*which, *unmarked).values(superseded_at=now)


def _closing(ids: Sequence[str], now: int) -> Update:
    return update(OpenedSession).where(col(OpenedSession.id).in_(ids)).values(closed_at=now)


def _is_free(now: int) -> ColumnElement[bool]:
    """Whether no other process asks about it; one that is free later than that was leased by a clock that was
    set back since."""
    at = col(OpenedSession.next_attempt_at)
    return or_(at <= now, at > now + AGAIN_SECONDS)


def _is_due(now: int) -> ColumnElement[bool]:
    """Superseded, ended long ago, or open while its user has bought since. Without another subscription when
    it was opened, any one was bought since."""
    has_bought = exists().where(
        col(Subscription.user_id) == col(OpenedSession.user_id),
        col(Subscription.link_source).is_distinct_from(WEAK),  # it may be a stranger's
        col(Subscription.status).in_(LIVE),
        or_(
            col(OpenedSession.allow_second).is_(False),
            col(Subscription.start_date) > col(OpenedSession.opened_at),
        ),
    )
    ended = col(OpenedSession.expires_at) + LATE_SECONDS <= now
    return and_(_is_free(now), or_(col(OpenedSession.superseded_at).is_not(None), ended, has_bought))
