"""Consume and release usage: each is one guarded statement inside the caller's transaction."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import orjson
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from ..entitlements import Decision, Entitlements, FeatureEntitlement
from ..errors import InvalidRequest, Unavailable
from ..observability import metrics
from ..plans import MAX_AMOUNT, Kind
from . import draws, statements
from .cache import Entry
from .errors import denial
from .keys import (
    Parameters,
    Request,
    answer_of,
    as_json,
    remember,
    remembered,
)
from .snapshots import Snapshots
from .thresholds import announce_reached

ATTEMPTS = 10
METERED = ("allocated", "consumable")
FOREVER = MAX_AMOUNT


def check_counted(feature: str, kind: Kind) -> None:
    """
    Raises:
        InvalidRequest: when the feature is not counted.
    """
    if kind not in METERED:
        raise InvalidRequest(f"Feature {feature} is {kind}: nothing of it is counted.")


def parameters(entry: Entry, feature: str, amount: int, now: int) -> Parameters:
    """What every statement on usage takes.

    Raises:
        NotFound: when the catalogue has no such feature.
        InvalidRequest: when the feature is not counted.
    """
    entitlements = entry.entitlements
    entitlement = entitlements.feature(feature)
    check_counted(feature, entitlement.kind)
    start, end = entitlements.period_of(feature, now)
    granted = _grants_of(entitlement) if draws_from_grants(entry, feature) else {}
    return granted | {
        "user_id": entitlements.user_id,
        "feature": feature,
        "amount": amount,
        "limit": granted.get("limit", entitlement.ceiling),
        "version": entry.version,
        "now": now,
        "period_start": start,
        "period_end": FOREVER if end is None else end,
        "included": entitlement.limit,
        "allowance": MAX_AMOUNT if entitlement.allowance is None else entitlement.allowance,
    }


def draws_from_grants(entry: Entry, feature: str) -> bool:
    """Whether the user has grants of the consumable, so that the statements of `draws` are to be used."""
    entitlement = entry.entitlements.feature(feature)
    return entitlement.kind == "consumable" and bool(entitlement.grants)


def _grants_of(entitlement: FeatureEntitlement) -> Parameters:
    """What the statements of `draws` take beside."""
    allowance = entitlement.allowance or 0
    listed = [{"id": each.id, "amount": each.amount} for each in entitlement.grants if each.in_force]
    return {
        "limit": MAX_AMOUNT if entitlement.soft and allowance else allowance,
        "grants": orjson.dumps(listed).decode(),
    }


def granted(entitlements: Entitlements, feature: str, used: int, amount: int) -> Decision:
    """The decision on what was taken: `used` is what is used after it."""
    decision = entitlements.check(feature, max(used - amount, 0), amount)
    if not decision.allowed:  # what was held before the limit was lowered is taken all the same
        decision = decision._replace(allowed=True, reason="ok", upgrade_to=(), act=None, pay_url=None)
    remaining = None if decision.limit is None else max(decision.limit - used, 0)
    return decision._replace(used=used, remaining=remaining)


def released(
    entitlements: Entitlements, feature: str, used: int, amount: int, *, enough: bool = True
) -> Decision:
    """The decision on a release, which is always allowed; `enough`: so much was used before."""
    decision = entitlements.look(feature, used)
    return decision._replace(
        allowed=True,
        reason="ok" if enough else "over_released",
        requested=amount,
        upgrade_to=(),
        act=None,
        pay_url=None,
    )


class Taken(NamedTuple):
    """What a guarded statement took: the decision, what it rests on, and the row of usage afterwards."""

    decision: Decision
    entry: Entry
    row: Any


async def guarded(
    snapshots: Snapshots,
    connection: AsyncConnection,
    statement: Callable[[ModuleType], TextClause],
    request: Request,
    extra: Parameters,
    held: Callable[[], int] = lambda: 0,
) -> Taken | None:
    """Run a guarded statement until it either took or must deny. None: the request's key is in use.

    `statement` finds it in the module that fits: `statements`, or `draws` where the user has grants.
    So much as `held()` says of what is asked for counts as used already.

    Raises:
        LimitExceeded, FeatureNotIncluded: with the decision.
        Unavailable: when the user changes faster than can be read.
    """
    entry = await snapshots.known(connection, request.user_id)
    for _ in range(ATTEMPTS):
        now = int(snapshots.clock())
        if now >= entry.expires_at:
            entry = await snapshots.read(connection, request.user_id)
        values = parameters(entry, request.feature, request.amount, now) | extra
        has_grants = draws_from_grants(entry, request.feature)
        guarded_by = statement(draws if has_grants else statements)
        if row := (await connection.execute(guarded_by, values)).first():
            decision = granted(entry.entitlements, request.feature, int(row.used), request.amount)
            return Taken(decision, entry, row)
        if request.key is not None and await answer_of(connection, request, now) is not None:
            return None
        # Over the limit, or the limit is not what it was when it was read. Nobody may move the usage while
        # that is found out, or it could look too much to one statement and free to the next, without end.
        if has_grants and request.feature not in (entry.entitlements.usage or {}):
            await connection.execute(statements.ENSURE_ROW, values)  # there may be no row yet
        row_of = {"user_id": request.user_id, "feature": request.feature}
        await connection.execute(statements.lock(connection.dialect.name), row_of)
        before, entry = entry, await snapshots.read(connection, request.user_id)
        if entry.version != before.version:
            metrics.CACHE_OUTDATED.inc()
            if request.amount <= held():
                continue  # what is held is taken, whatever has changed
        more = max(request.amount - held(), 1)
        if not entry.entitlements.look(request.feature, None, more).allowed:
            decision = entry.entitlements.check(request.feature, None, more)
            raise denial(decision, entry.entitlements.catalogue)
        if entry.entitlements.look(request.feature).used > MAX_AMOUNT - request.amount:
            raise InvalidRequest(f"More than {MAX_AMOUNT} cannot be counted. Nothing was taken.")
    raise Unavailable("What this user has is changing too fast to be read. Try again.")


async def consume(
    snapshots: Snapshots, connection: AsyncConnection, request: Request
) -> tuple[Decision, bool]:
    """Take, once for each key; whether this call did."""
    dialect, now = connection.dialect.name, int(snapshots.clock())
    keyed = request.key is not None
    extra = {"key": request.key} if keyed else {}
    taken = await guarded(snapshots, connection, lambda of: of.consume(dialect, keyed=keyed), request, extra)
    if taken is None:
        return await remembered(connection, request, now), False
    if request.key is None or await remember(connection, request, taken.decision, now):
        own = taken.entry.entitlements
        await announce_reached(connection, own, request.feature, taken.row, now, amount=request.amount)
        return taken.decision, True
    # Another transaction has used the key since the statement began: what was just taken goes back.
    entry = await snapshots.known(connection, request.user_id)
    values = parameters(entry, request.feature, request.amount, now)
    await connection.execute(statements.release(dialect), values)
    return await remembered(connection, request, now), False


async def release(snapshots: Snapshots, connection: AsyncConnection, request: Request) -> Decision:
    """Give back, once for each key."""
    now = int(snapshots.clock())
    if request.at is not None and request.at > now:
        raise InvalidRequest(f"at: {request.at} lies ahead of now ({now}).")
    # A release in a moment's own period never uses an answer that another process may have outdated.
    find = snapshots.known if request.at is None else snapshots.read
    entry = await find(connection, request.user_id)
    values = parameters(entry, request.feature, request.amount, now)
    pending = released(entry.entitlements, request.feature, 0, request.amount)
    # The key first: whoever comes second with it waits here, and then finds the answer.
    if request.key is not None and not await remember(connection, request, pending, now):
        return await remembered(connection, request, now)
    if request.at is not None and request.at < values["period_start"]:
        used = entry.entitlements.look(request.feature).used
        enough = await _release_in_closed(connection, values | {"at": request.at})
    else:
        used, enough = await _release_used(connection, values)
    decision = released(entry.entitlements, request.feature, used, request.amount, enough=enough)
    if request.key is not None:
        await connection.execute(statements.SET_KEY, request.scope | {"decision": as_json(decision)})
    return decision


async def set_used(
    snapshots: Snapshots, connection: AsyncConnection, request: Request, *, seen: int | None = None
) -> Decision | None:
    """Set what is used, once for each key. None: `seen`, a version of the row, is no longer its version."""
    # Never from memory: what is set for a period that a renewal has ended would count for nothing.
    entry = await snapshots.read(connection, request.user_id)
    now = int(snapshots.clock())
    values = parameters(entry, request.feature, request.amount, now) | {"seen": seen}
    pending = released(entry.entitlements, request.feature, request.amount, 0)
    if request.key is not None and not await remember(connection, request, pending, now):
        return await remembered(connection, request, now)
    has_grants = draws_from_grants(entry, request.feature)
    if has_grants:
        await connection.execute(statements.ENSURE_ROW, values)
    # What was used until now tells a threshold that is reached from below from one that was announced.
    before = (await connection.execute(statements.lock(connection.dialect.name), values)).first()
    statement = statements.set_usage(connection.dialect.name, granted=has_grants)
    row = (await connection.execute(statement, values)).first()
    if row is None:
        return None
    more = 0 if before is None else int(row.taken) - int(before.used)
    await announce_reached(connection, entry.entitlements, request.feature, row, now, amount=more)
    decision = released(entry.entitlements, request.feature, int(row.used), 0)
    if request.key is not None:
        await connection.execute(statements.SET_KEY, request.scope | {"decision": as_json(decision)})
    return decision


async def _release_used(connection: AsyncConnection, values: Parameters) -> tuple[int, bool]:
    """What is used then, and whether so much was used before."""
    dialect = connection.dialect.name
    guarded_release = statements.release(dialect, enough=True)
    if row := (await connection.execute(guarded_release, values)).first():
        return int(row.used), True
    # Less was used. While the row is locked nobody takes more, so what is said of it holds.
    row_of = {"user_id": values["user_id"], "feature": values["feature"]}
    await connection.execute(statements.lock(dialect), row_of)
    if row := (await connection.execute(guarded_release, values)).first():
        return int(row.used), True
    row = (await connection.execute(statements.release(dialect), values)).first()
    metrics.over_released(values["feature"])
    return int(row.used) if row else 0, False


async def _release_in_closed(connection: AsyncConnection, values: Parameters) -> bool:
    """Give back to a period that is over; whether so much was used in it, as far as that is kept.

    The period may still be in the row, where nothing was used since. Else it is in the history, or pruned.
    """
    dialect = connection.dialect.name
    both = (True, False)
    attempts = [(each, False, statements.release_closed(dialect, each)) for each in both]
    attempts += [(each, True, statements.release_kept(each)) for each in both]
    for enough, in_history, statement in attempts:
        if (row := (await connection.execute(statement, values)).first()) is not None:
            if in_history:
                returned = statements.return_drawn(dialect)
                await connection.execute(returned, values | {"began": row.period_start})
            if enough:
                return True
            break
    metrics.over_released(values["feature"])
    return False
