"""Reservations: usage is held while long work runs, then committed with the amount that it really used."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from ..entitlements import Decision
from ..errors import InvalidRequest
from . import statements
from .keys import Request, check_amount
from .snapshots import Snapshots
from .thresholds import announce_reached
from .usage import guarded, parameters, released

MAX_TTL_SECONDS = 30 * 86_400


class Hold:
    """An amount that counts as used until it is committed, released, or past its time."""

    def __init__(
        self, snapshots: Snapshots, request: Request, id: str, expires_at: int, decision: Decision
    ) -> None:
        self.id = id
        self.expires_at = expires_at
        self.decision = decision
        self._snapshots = snapshots
        self._request = request
        self._finished = False

    async def commit(self, actual: int, session: AsyncSession | None = None) -> Decision:
        """Take `actual` in place of what is held.

        Up to what is still held it always succeeds. What is more, or comes too late, is an ordinary consume.
        With a `session` it is part of that session's transaction: rolled back with it, and the hold stays.

        Raises:
            LimitExceeded, FeatureNotIncluded: the hold stays, until it is released or past its time.
            InvalidRequest: `actual` is no amount.
        """
        if session is not None:
            self._snapshots.changes_usage(session, self._request.user_id)
            return await self.commit_on(await session.connection(), actual)
        async with self._snapshots.database.session() as own:
            decision = await self.commit(actual, own)
        self._finished = True
        return decision

    async def release(self) -> Decision:
        """Release all that is held."""
        async with self._snapshots.database.session() as session:
            self._snapshots.changes_usage(session, self._request.user_id)
            decision = await self.release_on(await session.connection())
        self._finished = True
        return decision

    async def commit_on(self, connection: AsyncConnection, actual: int) -> Decision:
        """As `commit`, in the transaction of this connection."""
        check_amount(actual, least=0)
        if actual == 0:
            return await self.release_on(connection)
        asked = Request("consume", self._request.user_id, self._request.feature, actual)
        dialect = connection.dialect.name
        taken = await guarded(
            self._snapshots,
            connection,
            lambda of: of.finish(dialect),
            asked,
            {"hold_id": self.id},
            self._held,
        )
        assert taken is not None
        own, now = taken.entry.entitlements, int(self._snapshots.clock())
        await announce_reached(connection, own, asked.feature, taken.row, now, amount=actual)
        return taken.decision

    async def release_on(self, connection: AsyncConnection) -> Decision:
        """As `release`, in the transaction of this connection."""
        request = self._request
        entry = await self._snapshots.known(connection, request.user_id)
        values = parameters(entry, request.feature, request.amount, int(self._snapshots.clock()))
        statement = statements.drop_hold(connection.dialect.name)
        row = (await connection.execute(statement, values | {"hold_id": self.id})).first()
        return released(entry.entitlements, request.feature, int(row.used) if row else 0, request.amount)

    def _held(self) -> int:
        over = self._finished or self._snapshots.clock() >= self.expires_at
        return 0 if over else self._request.amount

    async def _end(self) -> None:
        if not self._finished:
            await self.release()


def check_ttl(ttl: int) -> None:
    """
    Raises:
        InvalidRequest: for anything but a whole number of seconds from 1 to 30 days.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not 1 <= ttl <= MAX_TTL_SECONDS:
        raise InvalidRequest(f"ttl: a whole number of seconds from 1 to {MAX_TTL_SECONDS} (30 days).")


async def hold_on(
    snapshots: Snapshots, connection: AsyncConnection, request: Request, ttl: int, id: str
) -> Hold:
    """Hold the request's amount for `ttl` seconds under this id, in the transaction of this connection."""
    expires_at = int(snapshots.clock()) + ttl
    held = orjson.dumps({"id": id, "amount": request.amount, "expires_at": expires_at}).decode()
    dialect = connection.dialect.name
    taken = await guarded(snapshots, connection, lambda of: of.hold(dialect), request, {"hold": held})
    assert taken is not None
    return Hold(snapshots, request, id, expires_at, taken.decision)


@asynccontextmanager
async def hold(snapshots: Snapshots, request: Request, ttl: int) -> AsyncIterator[Hold]:
    """Hold the request's amount for at most `ttl` seconds; what is not committed is released at the end."""
    check_ttl(ttl)
    async with snapshots.database.session() as session:
        snapshots.changes_usage(session, request.user_id)
        taken = await hold_on(snapshots, await session.connection(), request, ttl, uuid.uuid4().hex)
    try:
        yield taken
    finally:
        await taken._end()
