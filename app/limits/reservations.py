"""Reservations by id, for clients in other processes: each is remembered with what became of it.

A request whose answer was lost is sent again. So a reservation is a row beside the hold itself: the same
key reserves once, and the same id is committed once. The row is locked before the usage is changed, and says
whether the hold is `held`, `committed` or `released`. It is kept for 7 days past the end of the hold.
"""

import hashlib
import uuid
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from ..entitlements import Decision
from ..errors import Conflict, NotFound
from . import statements
from .holds import Hold, check_ttl, hold_on
from .keys import KEY_SECONDS, Request, as_decision, as_members, check_amount
from .snapshots import Snapshots

State = Literal["held", "committed", "released"]

DECISIONS = ("decision", "outcome")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A hold and what became of it."""

    id: str
    feature: str
    amount: int
    ttl: int
    expires_at: int
    """When the hold no longer counts, in Unix seconds."""
    decision: Decision
    """On the hold."""
    state: State = "held"
    actual: int | None = None
    """What was committed in place of the amount."""
    outcome: Decision | None = None
    """On the commit or the release."""


def new_id(key: str | None) -> str:
    """An id that can stand in a URL; the same key gives the same id."""
    return uuid.uuid4().hex if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]


class Reservations:
    """The reservations of one user and feature, in the transaction of this connection."""

    def __init__(self, snapshots: Snapshots, connection: AsyncConnection, user_id: str, feature: str) -> None:
        self._snapshots = snapshots
        self._connection = connection
        self._row = {"user_id": user_id, "feature": feature, "operation": "reserve"}

    async def reserve(self, amount: int, ttl: int, key: str | None = None) -> tuple[Reservation, bool]:
        """Hold the amount for `ttl` seconds; whether it is new, or was reserved with this key before.

        Raises:
            LimitExceeded, FeatureNotIncluded: with the decision; nothing is held.
            Conflict: the key was used for another amount or another time.
            InvalidRequest, NotFound: amount, `ttl`, key or feature cannot be one.
        """
        check_ttl(ttl)
        request = self._request(amount, key)
        id = new_id(key)
        if not await self._insert(id, amount, ttl):
            return _same(await self._find(id), amount, ttl), False
        hold = await hold_on(self._snapshots, self._connection, request, ttl, id)
        reserved = Reservation(id, request.feature, amount, ttl, hold.expires_at, hold.decision)
        await self._update(reserved)
        return reserved, True

    async def commit(self, id: str, actual: int) -> tuple[Decision, bool]:
        """Take `actual` in place of what is held, once; whether this call did.

        Raises:
            LimitExceeded, FeatureNotIncluded: more than is held, or too late; the hold stays as it is.
            Conflict: it was committed with another amount, or released.
            InvalidRequest, NotFound: `actual` is no amount; no such reservation is known.
        """
        check_amount(actual, least=0)
        found = await self._find(id)
        if found.state == "released":
            raise Conflict("The reservation was released. Use the amount with `consume`.")
        if found.outcome is not None:
            if found.actual != actual:
                raise Conflict(f"The reservation was committed with an amount of {found.actual}.")
            return found.outcome, False
        decision = await self._hold(found).commit_on(self._connection, actual)
        await self._update(found, state="committed", actual=actual, outcome=decision)
        return decision, True

    async def release(self, id: str) -> tuple[Decision, bool]:
        """Release all that is held, once; whether this call did.

        Raises:
            Conflict: it was committed.
            NotFound: no such reservation is known.
        """
        found = await self._find(id)
        if found.state == "committed":
            raise Conflict("The reservation was committed. Release what it used with `release`.")
        if found.outcome is not None:
            return found.outcome, False
        decision = await self._hold(found).release_on(self._connection)
        await self._update(found, state="released", outcome=decision)
        return decision, True

    def _request(self, amount: int, key: str | None = None) -> Request:
        return Request("consume", self._row["user_id"], self._row["feature"], amount, key)

    def _hold(self, found: Reservation) -> Hold:
        request = self._request(found.amount)
        return Hold(self._snapshots, request, found.id, found.expires_at, found.decision)

    async def _insert(self, id: str, amount: int, ttl: int) -> bool:
        """Whoever comes second with a key waits here for the first, and then gets False."""
        now = int(self._snapshots.clock())
        row = {
            "key": id,
            "amount": amount,
            "decision": "{}",
            "expires_at": now + ttl + KEY_SECONDS,
            "now": now,
        }
        return (await self._connection.execute(statements.PUT_KEY, self._row | row)).first() is not None

    async def _find(self, id: str) -> Reservation:
        """
        Raises:
            NotFound: no such reservation is known.
        """
        statement = statements.lock_key(self._connection.dialect.name)
        row_of = self._row | {"key": id, "now": int(self._snapshots.clock())}
        row = (await self._connection.execute(statement, row_of)).first()
        if row is None:
            raise NotFound(
                "No such reservation is known of this user and feature. It is kept for 7 days past its end."
            )
        members = orjson.loads(row.decision) if isinstance(row.decision, str) else row.decision
        decisions = {name: as_decision(members[name]) for name in DECISIONS if members[name] is not None}
        return Reservation(**(members | {"amount": row.amount} | decisions))

    async def _update(self, found: Reservation, **changes: Any) -> None:
        changed = replace(found, **changes)
        members = {
            each.name: getattr(changed, each.name) for each in fields(changed) if each.name != "amount"
        }
        decisions = {name: as_members(members[name]) for name in DECISIONS if members[name] is not None}
        text = orjson.dumps(members | decisions).decode()
        await self._connection.execute(statements.SET_KEY, self._row | {"key": found.id, "decision": text})


def _same(found: Reservation, amount: int, ttl: int) -> Reservation:
    """
    Raises:
        Conflict: when another amount or another time was reserved with the key.
    """
    if (found.amount, found.ttl) != (amount, ttl):
        before = f"an amount of {found.amount} for {found.ttl} seconds"
        raise Conflict(f"The key was used for {before}. Use a new key for another reservation.")
    return found
