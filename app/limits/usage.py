"""Consume and release usage: each is one guarded statement inside the caller's transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from ..entitlements import Decision, Entitlements
from ..errors import Conflict, InvalidRequest, Unavailable
from ..observability import metrics
from ..plans import MAX_AMOUNT, Kind
from . import statements
from .cache import Entry
from .errors import denial
from .snapshots import Snapshots

KEY_SECONDS = 7 * 86_400
"""How long the answer under an idempotency key is remembered."""
MAX_KEY_LENGTH = 255
ATTEMPTS = 10
METERED = ("allocated", "consumable")
FOREVER = MAX_AMOUNT

Parameters = dict[str, Any]
Operation = Literal["consume", "release", "set"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a user's usage, checked.

    Raises:
        InvalidRequest: when the amount is no positive number below 2**63 (for `set` it may be 0), or key or
            moment cannot be one.
    """

    operation: Operation
    user_id: str
    feature: str
    amount: int
    key: str | None = None
    at: int | None = None
    """For a release: the moment whose period it lowers, in Unix seconds."""

    def __post_init__(self) -> None:
        check_amount(self.amount, least=0 if self.operation == "set" else 1)
        if self.key is not None and not (0 < len(self.key) <= MAX_KEY_LENGTH and self.key.isprintable()):
            raise InvalidRequest(f"key: 1 to {MAX_KEY_LENGTH} printable characters.")
        if self.at is not None and (isinstance(self.at, bool) or not isinstance(self.at, int) or self.at < 0):
            raise InvalidRequest("at: a moment that has been, in whole Unix seconds.")

    @property
    def scope(self) -> Parameters:
        return {
            "user_id": self.user_id,
            "feature": self.feature,
            "operation": self.operation,
            "key": self.key,
        }


def check_amount(amount: int, *, least: int) -> None:
    """
    Raises:
        InvalidRequest: for anything but a whole number from `least` to 2**63-1.
    """
    if isinstance(amount, bool) or not isinstance(amount, int) or not least <= amount <= MAX_AMOUNT:
        raise InvalidRequest(f"amount: a whole number from {least} to {MAX_AMOUNT}.")


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
    return {
        "user_id": entitlements.user_id,
        "feature": feature,
        "amount": amount,
        "limit": entitlement.ceiling,
        "version": entry.version,
        "now": now,
        "period_start": start,
        "period_end": FOREVER if end is None else end,
        "included": entitlement.limit,
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


async def guarded(
    snapshots: Snapshots,
    connection: AsyncConnection,
    statement: TextClause,
    request: Request,
    extra: Parameters,
    held: Callable[[], int] = lambda: 0,
) -> Decision | None:
    """Run a guarded statement until it either took or must deny. None: the request's key is in use.

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
        if row := (await connection.execute(statement, values)).first():
            return granted(entry.entitlements, request.feature, int(row.used), request.amount)
        if request.key is not None and await _answer(connection, request, now) is not None:
            return None
        # Over the limit, or the limit is not what it was when it was read. Nobody may move the usage while
        # that is found out, or it could look too much to one statement and free to the next, without end.
        row_of = {"user_id": request.user_id, "feature": request.feature}
        await connection.execute(statements.lock(connection.dialect.name), row_of)
        before, entry = entry, await snapshots.read(connection, request.user_id)
        if entry.version != before.version:
            metrics.CACHE_OUTDATED.inc()
        more = max(request.amount - held(), 1)
        if not entry.entitlements.look(request.feature, None, more).allowed:
            raise denial(entry.entitlements.check(request.feature, None, more))
        if entry.entitlements.look(request.feature).used > MAX_AMOUNT - request.amount:
            raise InvalidRequest(f"More than {MAX_AMOUNT} cannot be counted. Nothing was taken.")
    raise Unavailable("What this user has is changing too fast to be read. Try again.")


async def consume(
    snapshots: Snapshots, connection: AsyncConnection, request: Request
) -> tuple[Decision, bool]:
    """Take, once for each key; whether this call did."""
    dialect, now = connection.dialect.name, int(snapshots.clock())
    statement = statements.consume(dialect, keyed=request.key is not None)
    extra = {} if request.key is None else {"key": request.key}
    decision = await guarded(snapshots, connection, statement, request, extra)
    if decision is None:
        return await _remembered(connection, request, now), False
    if request.key is None or await _remember(connection, request, decision, now):
        return decision, True
    # Another transaction has used the key since the statement began: what was just taken goes back.
    entry = await snapshots.known(connection, request.user_id)
    values = parameters(entry, request.feature, request.amount, now)
    await connection.execute(statements.release(dialect), values)
    return await _remembered(connection, request, now), False


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
    if request.key is not None and not await _remember(connection, request, pending, now):
        return await _remembered(connection, request, now)
    if request.at is not None and request.at < values["period_start"]:
        used = entry.entitlements.look(request.feature).used
        enough = await _release_in_closed(connection, values | {"at": request.at})
    else:
        used, enough = await _release_used(connection, values)
    decision = released(entry.entitlements, request.feature, used, request.amount, enough=enough)
    if request.key is not None:
        await connection.execute(statements.SET_KEY, request.scope | {"decision": _json(decision)})
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
    if request.key is not None and not await _remember(connection, request, pending, now):
        return await _remembered(connection, request, now)
    row = (await connection.execute(statements.set_usage(connection.dialect.name), values)).first()
    if row is None:
        return None
    decision = released(entry.entitlements, request.feature, int(row.used), 0)
    if request.key is not None:
        await connection.execute(statements.SET_KEY, request.scope | {"decision": _json(decision)})
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
    attempts = [(each, statements.release_closed(dialect, each)) for each in both]
    attempts += [(each, statements.release_kept(each)) for each in both]
    for enough, statement in attempts:
        if (await connection.execute(statement, values)).first() is not None:
            if enough:
                return True
            break
    metrics.over_released(values["feature"])
    return False


async def _remember(connection: AsyncConnection, request: Request, decision: Decision, now: int) -> bool:
    """Store the answer under the request's key; False when the key has been used."""
    values = {
        "amount": request.amount,
        "decision": _json(decision),
        "expires_at": now + KEY_SECONDS,
        "now": now,
    }
    return (await connection.execute(statements.PUT_KEY, request.scope | values)).first() is not None


async def _remembered(connection: AsyncConnection, request: Request, now: int) -> Decision:
    """The answer that the request's key gave before.

    Raises:
        Conflict: when it was given for another amount.
    """
    answer = await _answer(connection, request, now)
    assert answer is not None
    amount, decision = answer
    if amount != request.amount:
        raise Conflict(f"The key was used for an amount of {amount}. Use a new key for another amount.")
    return decision


async def is_answered(connection: AsyncConnection, request: Request, now: int) -> bool:
    """Whether the request's key has been used: the request, sent again, changes nothing."""
    return request.key is not None and await _answer(connection, request, now) is not None


async def _answer(connection: AsyncConnection, request: Request, now: int) -> tuple[int, Decision] | None:
    row = (await connection.execute(statements.GET_KEY, request.scope | {"now": now})).first()
    if row is None:
        return None
    members = orjson.loads(row.decision) if isinstance(row.decision, str) else row.decision
    return row.amount, as_decision(members)


def as_decision(members: dict[str, Any]) -> Decision:
    """A decision that was stored with `as_members`."""
    return Decision(**(members | {"upgrade_to": tuple(members["upgrade_to"])}))


def as_members(decision: Decision) -> dict[str, Any]:
    """Without what only a denial has, and a process of the release before would not know."""
    members = decision._asdict()
    return {name: members[name] for name in members if name not in ("act", "pay_url")}


def _json(decision: Decision) -> str:
    return orjson.dumps(as_members(decision)).decode()
