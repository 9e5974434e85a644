"""What is asked of usage, and the answers that are remembered under idempotency keys."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from ..entitlements import Decision
from ..errors import Conflict, InvalidRequest
from ..plans import MAX_AMOUNT
from . import statements

KEY_SECONDS = 7 * 86_400
"""How long the answer under an idempotency key is remembered."""
MAX_KEY_LENGTH = 255

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


async def remember(connection: AsyncConnection, request: Request, decision: Decision, now: int) -> bool:
    """Store the answer under the request's key; False when the key has been used."""
    values = {
        "amount": request.amount,
        "decision": as_json(decision),
        "expires_at": now + KEY_SECONDS,
        "now": now,
    }
    return (await connection.execute(statements.PUT_KEY, request.scope | values)).first() is not None


async def remembered(connection: AsyncConnection, request: Request, now: int) -> Decision:
    """The answer that the request's key gave before.

    Raises:
        Conflict: when it was given for another amount.
    """
    answer = await answer_of(connection, request, now)
    assert answer is not None
    amount, decision = answer
    if amount != request.amount:
        raise Conflict(f"The key was used for an amount of {amount}. Use a new key for another amount.")
    return decision


async def is_answered(connection: AsyncConnection, request: Request, now: int) -> bool:
    """Whether the request's key has been used: the request, sent again, changes nothing."""
    return request.key is not None and await answer_of(connection, request, now) is not None


async def answer_of(connection: AsyncConnection, request: Request, now: int) -> tuple[int, Decision] | None:
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


def as_json(decision: Decision) -> str:
    return orjson.dumps(as_members(decision)).decode()
