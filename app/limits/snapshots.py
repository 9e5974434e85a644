"""Users' entitlements, read when they are asked for and kept while they hold."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from ..db import Database
from ..entitlements import Entitlements
from ..errors import ConfigurationError
from ..observability.metrics import HIT, HIT_AGE, MISS
from ..plans import Catalogue
from .cache import Cache, Entry
from .loading import read_entry

NO_SERVICE = (
    "This process has a catalogue and no service, so there is no database to open a session on: pass "
    "`session`, or set the service up with create_app() or install()."
)


@dataclass(slots=True)
class _Changes:
    """The users of whom a session's transaction changes what was used, and what they have."""

    used: set[str] = field(default_factory=set)
    had: set[str] = field(default_factory=set)


class Snapshots:
    """The entitlements of one service's users. `clock` gives Unix seconds."""

    def __init__(self, database: Database | None, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self._database = database
        self.catalogue = catalogue
        self.clock = clock
        self._cache = Cache()

    @property
    def database(self) -> Database:
        """The service's own.

        Raises:
            ConfigurationError: in a process that has none.
        """
        return self.require_database()

    def require_database(self) -> Database:
        """As `database`."""
        if self._database is None:
            raise ConfigurationError(NO_SERVICE)
        return self._database

    async def load(self, user_id: str) -> Entitlements:
        """From memory where they are there; nothing is written, also not for an unknown user."""
        now = self.clock()
        entry = self._cache.get(user_id, now)
        if entry is not None and entry.usage_is_current:
            HIT[0] += 1
            HIT_AGE[0] += now - entry.entitlements.as_of
        else:
            MISS[0] += 1
            with self._cache.loading(user_id) as token:
                async with self.database.reading() as session:
                    entry = await self._read(await session.connection(), user_id)
                self._cache.put(user_id, entry, token)
        return entry.entitlements

    async def known(self, connection: AsyncConnection, user_id: str) -> Entry:
        """An entry that another process may have outdated; what is guarded by its version finds out."""
        return self._cache.get(user_id, self.clock()) or await self.read(connection, user_id)

    async def read(self, connection: AsyncConnection, user_id: str) -> Entry:
        """Read in the transaction of this connection, whatever is remembered."""
        with self._cache.loading(user_id) as token:
            entry = replace(await self._read(connection, user_id), usage_is_current=False)
            self._cache.put(user_id, entry, token)
        return entry

    async def _read(self, connection: AsyncConnection, user_id: str) -> Entry:
        return await read_entry(connection, user_id, self.catalogue, int(self.clock()))

    def changes_usage(self, session: AsyncSession, user_id: str) -> None:
        """The session's transaction changes what the user has used: read it again once that has ended."""
        self._changes(session).used.add(user_id)

    def changes_user(self, session: AsyncSession, user_id: str) -> None:
        """The session's transaction changes what the user has: what was read meanwhile holds no longer once
        that has ended, whichever way."""
        self._changes(session).had.add(user_id)

    def _changes(self, session: AsyncSession) -> "_Changes":
        own = session.sync_session
        if self not in own.info:
            own.info[self] = _Changes()
            event.listen(own, "after_transaction_end", self._tell_changed)
        changes: _Changes = own.info[self]
        return changes

    def _tell_changed(self, session: Session, transaction: SessionTransaction) -> None:
        # A savepoint's end is none: what was changed within is not committed yet.
        if transaction.parent is None:
            changes: _Changes = session.info[self]
            for user_id in changes.used:
                self._cache.usage_changed(user_id)
            for user_id in changes.had:
                self._cache.forget(user_id)
            changes.used.clear()
            changes.had.clear()

    def forget(self, user_id: str | None) -> None:
        """Read a user again when next asked, or (None) all of them."""
        self._cache.forget(user_id)

    def on_users_changed(self, sender: object, *, user_ids: set[str]) -> None:
        """Receives `users_changed`: this process has changed what these users have."""
        for user_id in user_ids:
            self._cache.forget(user_id)
