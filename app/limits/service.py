"""The limits of one service, in the shapes that application code uses."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from ..db import Database
from ..entitlements import (
    Decision,
    Entitlements,
    FeaturePreview,
    Grant,
    entitle,
    is_within,
    preview,
    preview_subscription,
)
from ..errors import Conflict, InvalidRequest
from ..plans import Catalogue, HeldItem
from . import granting, holds, statements, usage
from .drift import UNSEEN, Drift, differing, read_all
from .granting import GrantOrder
from .history import ClosedPeriod, Place, read_history
from .holds import Hold
from .keys import Operation, Request, check_amount, is_answered
from .reservations import Reservations
from .snapshots import Snapshots
from .usage import check_counted, parameters


class Limits:
    """Checks and usage over one database. `clock` gives Unix seconds.

    Without a `database` only what is asked in a caller's session works.
    """

    def __init__(
        self, database: Database | None, catalogue: Catalogue, clock: Callable[[], float] = time.time
    ) -> None:
        self.catalogue = catalogue
        self.snapshots = Snapshots(database, catalogue, clock)

    async def load(self, user_id: str, session: AsyncSession | None = None) -> Entitlements:
        """What the user has, with the usage as of now; ask it without I/O.

        Kept in memory for seconds; with a `session` it is read in that session's transaction, with all that
        this has changed. An unknown user has the default plan, and nothing is written.
        """
        if session is None:
            return await self.snapshots.load(user_id)
        return (await self.snapshots.read(await session.connection(), user_id)).entitlements

    def default_entitlements(self) -> Entitlements:
        """What a user has of whom nothing is known: the default plan, and nothing used."""
        now = int(self.snapshots.clock())
        return entitle("", (), (), (), (), self.catalogue, now, usage={})

    async def consume(
        self, session: AsyncSession, user_id: str, feature: str, amount: int = 1, *, key: str | None = None
    ) -> Decision:
        """Use `amount` of a feature, if the limit allows it now.

        Part of the caller's transaction: rolled back with it. `used` in the decision is what is used after.
        The same key gives the same answer for 7 days, and uses the amount once.

        Raises:
            LimitExceeded, FeatureNotIncluded: with the decision; nothing was used.
            Conflict: the key was used for another amount.
            InvalidRequest, NotFound: amount or key cannot be one; the feature is not metered, or not known.
        """
        return (await self.consume_once(session, user_id, feature, amount, key=key))[0]

    async def consume_once(
        self, session: AsyncSession, user_id: str, feature: str, amount: int = 1, *, key: str | None = None
    ) -> tuple[Decision, bool]:
        """As `consume`; whether this call used the amount, and not one before it with the same key."""
        request = Request("consume", user_id, feature, amount, key)
        taken = await usage.consume(self.snapshots, await session.connection(), request)
        self.snapshots.changes_usage(session, user_id)
        return taken

    async def consume_many(
        self, session: AsyncSession, user_id: str, amounts: Mapping[str, int], *, key: str | None = None
    ) -> dict[str, Decision]:
        """Use several features, all or none; always in one order, so that no two callers deadlock.

        Raises:
            As `consume`; Conflict also when the key was used for other features.
        """
        return (await self.consume_many_once(session, user_id, amounts, key=key))[0]

    async def consume_many_once(
        self, session: AsyncSession, user_id: str, amounts: Mapping[str, int], *, key: str | None = None
    ) -> tuple[dict[str, Decision], bool]:
        """As `consume_many`; whether this call used the amounts, and not one before it with the same key."""
        async with session.begin_nested():
            taken = {
                feature: await self.consume_once(session, user_id, feature, amounts[feature], key=key)
                for feature in sorted(amounts)
            }
            known = [feature for feature, (_, is_new) in taken.items() if not is_new]
            if known and len(known) < len(taken):
                used_for = ", ".join(known)
                raise Conflict(f"The key was used for {used_for} alone. Use a new key for other features.")
        return {feature: decision for feature, (decision, _) in taken.items()}, not known

    async def release(
        self,
        session: AsyncSession,
        user_id: str,
        feature: str,
        amount: int = 1,
        *,
        key: str | None = None,
        at: int | None = None,
    ) -> Decision:
        """Release `amount`, in the caller's transaction. Always allowed; usage never falls below 0.

        Release only with proof of deletion, such as a row of `DELETE … RETURNING`. More than was used: the
        reason is `over_released`. The same `key` releases once within 7 days.

        `at` (Unix seconds): it was taken then. A period that has closed since is lowered, not the open one;
        what is no longer kept of it changes nothing.

        Raises:
            Conflict: the key was used for another amount.
            InvalidRequest, NotFound: amount, key or moment cannot be one; the feature is not metered, or not
                known.
        """
        request = Request("release", user_id, feature, amount, key, at)
        decision = await usage.release(self.snapshots, await session.connection(), request)
        self.snapshots.changes_usage(session, user_id)
        return decision

    async def grant(self, session: AsyncSession, order: GrantOrder) -> tuple[Grant, bool]:
        """Give a user a grant, in the caller's transaction; whether it is new, or was given before.

        Raises:
            Conflict: the key was used for another grant.
            InvalidRequest, NotFound: amount, time, priority, feature or plan cannot be one.
        """
        self.snapshots.changes_user(session, order.user_id)
        now = int(self.snapshots.clock())
        return await granting.grant(await session.connection(), self.catalogue, order, now)

    async def end_grant(self, session: AsyncSession, user_id: str, grant_id: str) -> Grant:
        """End a grant now, in the caller's transaction; the grant as it was.

        Raises:
            NotFound: the user has no such grant of an operator or of code.
            Conflict: it has ended.
        """
        self.snapshots.changes_user(session, user_id)
        now = int(self.snapshots.clock())
        return await granting.end_grant(await session.connection(), user_id, grant_id, now)

    @asynccontextmanager
    async def reserve(self, user_id: str, feature: str, amount: int, *, ttl: int = 60) -> AsyncIterator[Hold]:
        """Hold `amount` for at most `ttl` seconds, in transactions of its own; commit what was really taken.

        Raises:
            LimitExceeded, FeatureNotIncluded: with the decision; nothing is held.
            InvalidRequest, NotFound: amount, `ttl` (30 days at most) or feature cannot be one.
        """
        request = Request("consume", user_id, feature, amount)
        async with holds.hold(self.snapshots, request, ttl) as hold:
            yield hold

    async def reservations(self, session: AsyncSession, user_id: str, feature: str) -> Reservations:
        """Reservations by id, in the session's transaction, for clients in other processes.

        Raises:
            NotFound: when the catalogue has no such feature.
            InvalidRequest: when the feature is not counted.
        """
        check_counted(feature, self.catalogue.feature(feature).kind)
        self.snapshots.changes_usage(session, user_id)
        return Reservations(self.snapshots, await session.connection(), user_id, feature)

    async def used(self, session: AsyncSession, user_id: str, feature: str) -> int:
        """What is used, live holds included; nobody else changes it until the session's transaction ends.

        Raises:
            NotFound: when the catalogue has no such feature.
            InvalidRequest: when the feature is not counted.
        """
        connection = await session.connection()
        entry = await self.snapshots.read(connection, user_id)
        values = parameters(entry, feature, 0, int(self.snapshots.clock()))
        # Also who has used nothing yet needs a row: what is not there cannot be locked.
        await connection.execute(statements.ENSURE_ROW, values)
        await connection.execute(statements.lock(connection.dialect.name), values)
        return (await self.snapshots.read(connection, user_id)).entitlements.look(feature).used

    async def is_answered(
        self, session: AsyncSession, operation: Operation, user_id: str, feature: str, key: str | None
    ) -> bool:
        """Whether the key has been used for the operation, so that the same request changes nothing more."""
        request = Request(operation, user_id, feature, 1, key)
        return await is_answered(await session.connection(), request, int(self.snapshots.clock()))

    async def within(
        self, user_id: str, feature: str, rank: int, session: AsyncSession | None = None
    ) -> bool:
        """Whether the user's thing of that rank may stay in use, the oldest being 1: see `is_within`.

        Raises:
            InvalidRequest, NotFound: the rank cannot be one; the feature is not allocated, or not known.
        """
        return is_within(await self.load(user_id, session), feature, rank, int(self.snapshots.clock()))

    async def transfer(
        self, session: AsyncSession, from_user: str, to_user: str, feature: str, amount: int = 1
    ) -> Decision:
        """Move usage to a new owner, in the caller's transaction: both change, or neither. What the new owner
        has now is in the decision.

        Raises:
            LimitExceeded, FeatureNotIncluded: of the new owner, with the decision; nothing was moved.
            InvalidRequest, NotFound: the users are the same, or the first has used less than `amount`, what
                is reserved apart; the amount cannot be one; the feature is not metered, or not known.
        """
        check_amount(amount, least=1)
        if from_user == to_user:
            raise InvalidRequest("from_user and to_user are the same: nothing was moved.")
        async with session.begin_nested():
            # In one order, so that two transfers to and fro do not wait for each other.
            used = {user: await self.used(session, user, feature) for user in sorted((from_user, to_user))}
            if used[from_user] < amount:
                had = f"{from_user} has used {used[from_user]} of {feature}"
                raise InvalidRequest(f"{had}, less than {amount}: nothing was moved.")
            decision = await self.consume(session, to_user, feature, amount)
            released = await self.release(session, from_user, feature, amount)
            if released.reason == "over_released":
                raise InvalidRequest(
                    f"{from_user} has used less than {amount} of {feature} beside what is reserved: nothing "
                    "was moved."
                )
        return decision

    async def history(
        self, user_id: str, feature: str | None = None, *, before: Place | None = None, count: int = 100
    ) -> list[ClosedPeriod]:
        """What the user had used of consumables in periods that are over, the newest first.

        `before`: the `period_start` and the feature of the last row that is known already.

        Raises:
            InvalidRequest: when the user's id cannot be one.
        """
        async with self.snapshots.database.reading() as session:
            connection = await session.connection()
            entitlements = (await self.snapshots.read(connection, user_id)).entitlements
            return await read_history(connection, entitlements, feature=feature, before=before, count=count)

    async def set_usage(
        self, session: AsyncSession, user_id: str, feature: str, measured: int, *, key: str | None = None
    ) -> Decision:
        """Set the usage to what was measured elsewhere. Never denied; more than the limit denies further use.

        The same `key` sets once within 7 days: a request that is sent again undoes no later use.

        Raises:
            Conflict: the key was used for another number.
            InvalidRequest, NotFound: number or key cannot be one; the feature is not metered, or not known.
        """
        request = Request("set", user_id, feature, measured, key)
        self.snapshots.changes_usage(session, user_id)
        decision = await usage.set_used(self.snapshots, await session.connection(), request)
        assert decision is not None
        return decision

    async def reconcile(
        self, feature: str, count: Callable[[], Awaitable[Mapping[str, int]]], *, dry_run: bool = True
    ) -> list[Drift]:
        """Compare usage with what the application counts: `count()` gives each user's number.

        Without `dry_run`, usage that has not moved since it was read is set to the count. Of a consumable
        that is what was used in each user's open period.

        Raises:
            InvalidRequest, NotFound: a count cannot be one; the feature is not metered, or not known.
        """
        check_counted(feature, self.catalogue.feature(feature).kind)
        seen = await read_all(self.snapshots, feature)
        counted = await count()
        drifts = []
        for user in differing(seen, counted):
            was, number = seen.get(user, UNSEEN), counted.get(user, 0)
            repaired = not dry_run and await self._repair(user, feature, number, was.version)
            drifts.append(Drift(user, was.used, number, repaired))
        return drifts

    async def preview(
        self,
        user_id: str,
        *,
        plan: str | None = None,
        price_id: str | None = None,
        quantity: int | None = None,
    ) -> dict[str, FeaturePreview]:
        """Each feature's limit now and then, and what would be over, before a change of plan is made.

        Raises:
            NotFound, InvalidRequest: the plan or price is not in the catalogue; not exactly one is given.
        """
        entitlements = await self.load(user_id)
        counted = entitlements.usage or {}
        return preview(entitlements, counted, plan=plan, price_id=price_id, quantity=quantity)

    async def preview_subscription(
        self,
        user_id: str,
        subscription_id: str,
        *,
        items: Sequence[HeldItem] | None,
    ) -> dict[str, FeaturePreview]:
        """As `preview`, had one of the user's subscriptions these items; None: were it ended."""
        entitlements = await self.load(user_id)
        counted = entitlements.usage or {}
        return preview_subscription(entitlements, counted, subscription_id, items=items)

    async def _repair(self, user_id: str, feature: str, counted: int, seen: int) -> bool:
        request = Request("set", user_id, feature, counted)
        async with self.snapshots.database.session() as session:
            self.snapshots.changes_usage(session, user_id)
            done = await usage.set_used(self.snapshots, await session.connection(), request, seen=seen)
        return done is not None
