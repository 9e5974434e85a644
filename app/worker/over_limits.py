"""Notes since when users are over a limit, and announces it: `over_limit`, once for each time.

A user is looked at within seconds of a change of what they have, and all users with usage in turn, a page a
minute: an override or a grace may end without any event.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from sqlalchemy import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..backoff import has_come
from ..db import Database
from ..db.models import OutboxEntry, Usage, table_of
from ..db.skipping import skipped_on_error
from ..entitlements import Entitlements, OverLimit, over_limit
from ..limits import Limits, statements
from ..reactions.outbox import Outbox
from ..signals import Reaction
from ..signals import over_limit as signal

AT_ONCE = 50
"""Users that are looked at in one turn of the worker."""
MAX_WAITING = 10_000
"""Users that wait for their turn; those beyond it are found by their page."""
PAGE = 200
PAGE_EVERY_SECONDS = 60


class OverLimits:
    """`clock` gives Unix seconds."""

    def __init__(
        self, database: Database, limits: Limits, outbox: Outbox, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._limits = limits
        self._outbox = outbox
        self._clock = clock
        self._waiting: dict[str, None] = {}
        self._page_at = clock() + PAGE_EVERY_SECONDS
        self._last = ""

    def on_users_changed(self, sender: object, *, user_ids: set[str]) -> None:
        """Receives `users_changed`: these users are to be looked at."""
        for user_id in islice(user_ids, max(MAX_WAITING - len(self._waiting), 0)):
            self._waiting[user_id] = None

    async def check_due(self) -> None:
        """Look at some of the users that have changed, and once a minute at the next page of all."""
        users = list(islice(self._waiting, AT_ONCE))
        if users:
            await self._check_each(await self._with_usage(users))
            for user_id in users:  # not before: while the database is down they wait
                self._waiting.pop(user_id, None)
        if has_come(self._page_at, self._clock(), within=PAGE_EVERY_SECONDS):
            self._page_at = self._clock() + PAGE_EVERY_SECONDS
            await self.check_page()

    async def check_page(self) -> None:
        """Look at the next page of the users with usage; after the last one begin again."""
        of_usage = col(Usage.user_id)
        query = select(Usage.user_id).where(of_usage > self._last, col(Usage.used) > 0).distinct()
        async with self._database.reading() as session:
            users = list(await session.exec(query.order_by(of_usage).limit(PAGE)))
        await self._check_each(users)
        self._last = users[-1] if len(users) == PAGE else ""

    async def _check_each(self, users: Iterable[str]) -> None:
        for user_id in users:
            with skipped_on_error("over_limit_not_checked", self._database):
                await self.check(user_id)

    async def check(self, user_id: str) -> None:
        """Note and announce what of the user is over its limit since the last look, and what is no longer."""
        async with self._database.reading() as session:
            connection = await session.connection()
            entitlements = (await self._limits.snapshots.read(connection, user_id)).entitlements
        noted = entitlements.over_since or {}
        found = {key: over for key in entitlements.features if (over := over_limit(entitlements, key))}
        begun = [over for key, over in found.items() if key not in noted]
        ended = [key for key in noted if key not in found]
        if begun or ended:
            async with self._database.session() as session:
                announced = await self._note(session, entitlements, begun, ended)
            self._limits.snapshots.forget(user_id)
            self._outbox.announce(announced)

    async def _with_usage(self, users: Iterable[str]) -> list[str]:
        query = select(Usage.user_id).where(col(Usage.user_id).in_(list(users)), col(Usage.used) > 0)
        async with self._database.reading() as session:
            return list(await session.exec(query.distinct()))

    async def _note(
        self, session: AsyncSession, entitlements: Entitlements, begun: list[OverLimit], ended: list[str]
    ) -> list[Reaction]:
        connection, user_id = await session.connection(), entitlements.user_id
        for feature in ended:
            await connection.execute(statements.UNMARK_OVER, {"user_id": user_id, "feature": feature})
        announced = []
        for over in begun:
            row = {"user_id": user_id, "feature": over.feature, "now": over.since}
            if (await connection.execute(statements.MARK_OVER, row)).first() is not None:
                announced.append(_reaction(entitlements, over))
        if entries := self._outbox.entries(announced):
            await connection.execute(insert(table_of(OutboxEntry)), entries)
        return announced


def _reaction(entitlements: Entitlements, over: OverLimit) -> Reaction:
    main = entitlements.subscription
    return Reaction(
        id=f"{signal.name}:{entitlements.user_id}:{over.feature}:{over.since}",
        signal=signal.name,
        at=entitlements.as_of,
        user_id=entitlements.user_id,
        subscription_id=main.id if main else None,
        facts={
            "feature": over.feature,
            "used": over.used,
            "limit": over.limit,
            "over_since": over.since,
            "over_until": over.until,
            "plan": entitlements.plan,
        },
    )
