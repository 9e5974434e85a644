"""Announces what users have: `entitlements_changed`, whenever it is other than what was announced last.

A change of a user marks the row `billing_user` in its own transaction. Any process takes marked users with a
lease, reads their state, and compares it with the digest of what was announced last. A state that differs is
announced in one transaction with its number and digest, so that each is announced once, in the order of the
numbers, and several changes at once make one. The next look is when time alone changes the state, at the
latest after a day: an older process may have written without a mark.
"""

import random
from collections.abc import Callable

from sqlalchemy import insert

from ..db import Database
from ..db.models import Job, OutboxEntry, table_of
from ..db.skipping import skipped_on_error
from ..entitlements import Entitlements
from ..entitlements.state import digest, user_state
from ..limits import Limits
from ..limits.loading import read_entry
from ..reactions.outbox import Outbox
from ..signals import Reaction, entitlements_changed, is_heard
from . import statements

JOB = "user-states"
AT_ONCE = 50
"""Users that are looked at in one turn of the worker."""
LEASE_SECONDS = 60
REFRESH_SECONDS = 86_400
JITTER = 0.2
LATEST_SECONDS = 2 * REFRESH_SECONDS
RECOVER_EVERY_SECONDS = 60
ATTEMPTS = 3
PAGE = 1000


class UserStates:
    """`clock` gives Unix seconds. `catalogue_digest` is of the plans file: another one may change every
    user's state."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        outbox: Outbox,
        *,
        catalogue_digest: str,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._limits = limits
        self._outbox = outbox
        self._catalogue_digest = catalogue_digest
        self._clock = clock
        self._random = random.Random()
        self._catalogue_is_known = False
        self._recover_at = 0.0

    async def announce_due(self) -> int:
        """Look at some of the users that are due; how many there were. Nothing while nobody listens."""
        if not is_heard(entitlements_changed):
            return 0
        if not self._catalogue_is_known:
            await self._look_at_catalogue()
        now = int(self._clock())
        async with self._database.session() as session:
            connection = await session.connection()
            if not self._recover_at - RECOVER_EVERY_SECONDS <= now < self._recover_at:
                await connection.execute(statements.RECOVER_STATES, {"latest": now + LATEST_SECONDS})
                self._recover_at = now + RECOVER_EVERY_SECONDS
            due = await connection.execute(
                statements.take_states(connection.dialect.name),
                {"now": now, "lease": now + LEASE_SECONDS, "count": AT_ONCE},
            )
            users = [row.id for row in due]
        for user_id in users:
            with skipped_on_error("state_not_announced", self._database):
                await self.announce(user_id)  # else this user comes again when the lease has expired
        return len(users)

    async def announce(self, user_id: str) -> None:
        """Announce the user's state, where it differs from what was announced last."""
        for _ in range(ATTEMPTS):
            if await self._announced(user_id):
                return
        # Others announce it faster than it can be read here; what is left is due again after the lease.

    async def _announced(self, user_id: str) -> bool:
        """Whether the state is announced; False when another process has announced one meanwhile."""
        async with self._database.reading() as session:
            connection = await session.connection()
            seen = (await connection.execute(statements.STATE_SEEN, {"id": user_id})).first()
            if seen is None:
                return True
            now = int(self._clock())
            entry = await read_entry(connection, user_id, self._limits.catalogue, now)
        state = user_state(entry.entitlements, seen.state_version + 1)
        row = {
            "id": user_id,
            "version": seen.version,
            "state_version": seen.state_version,
            "next": self._next_look(entry.entitlements),
        }
        changed = digest(state)
        async with self._database.session() as session:
            connection = await session.connection()
            if changed == seen.state_digest:
                await connection.execute(statements.KEEP_STATE, row)
                return True
            announcing = await connection.execute(statements.ANNOUNCE_STATE, row | {"digest": changed})
            if announcing.first() is None:
                return False
            made = [_reaction(entry.entitlements, state.version, state.model_dump())]
            if entries := self._outbox.entries(made):
                await connection.execute(insert(table_of(OutboxEntry)), entries)
        self._outbox.announce(made)
        return True

    async def mark_all(self, *, again: bool) -> int:
        """Make the state of every user due, in steps; how many there are. `again`: announce it though it is
        the same as before."""
        count, last = 0, ""
        while True:
            async with self._database.session() as session:
                connection = await session.connection()
                statement = statements.states_due(connection.dialect.name, again=again)
                marked = await connection.execute(statement, {"last": last, "count": PAGE})
                ids = [row.id for row in marked]
            count += len(ids)
            if len(ids) < PAGE:
                return count
            last = max(ids)

    async def mark(self, user_id: str) -> int:
        """Make one user's state due, to be announced though it is the same; how many users there were."""
        async with self._database.session() as session:
            marked = await (await session.connection()).execute(statements.STATE_DUE, {"id": user_id})
            return len(marked.all())

    async def _look_at_catalogue(self) -> None:
        """Once for each process: with another plans file than before, every user is looked at."""
        async with self._database.reading() as session:
            job = await session.get(Job, JOB)
        if job is None or (job.cursor or {}).get("catalogue") != self._catalogue_digest:
            await self.mark_all(again=False)
            cursor = {"catalogue": self._catalogue_digest}
            async with self._database.session() as session:
                await session.merge(Job(name=JOB, finished_at=int(self._clock()), cursor=cursor))
        self._catalogue_is_known = True

    def _next_look(self, entitlements: Entitlements) -> int:
        refresh = round(REFRESH_SECONDS * (1 - self._random.uniform(0, JITTER)))
        moments = (entitlements.valid_until, entitlements.as_of + refresh)
        return min(moment for moment in moments if moment is not None and moment > entitlements.as_of)


def _reaction(entitlements: Entitlements, version: int, state: dict[str, object]) -> Reaction:
    main = entitlements.subscription
    return Reaction(
        id=f"{entitlements_changed.name}:{entitlements.user_id}:{version}",
        signal=entitlements_changed.name,
        at=entitlements.as_of,
        user_id=entitlements.user_id,
        subscription_id=main.id if main else None,
        facts=state,
    )
