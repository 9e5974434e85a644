"""Seats: the quantity of a user's subscription follows the number of members.

`sync_seats` stores how many are wanted, and answers at once. Some seconds after the last request one change
is made at Stripe, by whichever process comes first; what is killed is done again.
"""

from dataclasses import dataclass

from sqlalchemy import case, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from ..db import Database
from ..db.models import SeatRequest, table_of
from ..errors import InvalidRequest, NotFound
from ..plans.schema import MAX_QUANTITY
from ..service import Service
from ..stripe.objects import MAX_ID_LENGTH, as_id
from .customers import stripe_of

DEBOUNCE_SECONDS = 5
"""So long after the last request the change is made."""
LONGEST_DELAY_SECONDS = 30
"""So long after the first one at the latest, however many follow."""


@dataclass(frozen=True, slots=True)
class Seats:
    """What is known of a user's seats. Times are Unix seconds.

    `quantity` and `subscription_id` are those of the last change; None where there was nothing to change.
    """

    user_id: str
    members: int
    pending: bool
    requested_at: int
    due_at: int | None
    done_at: int | None
    subscription_id: str | None
    quantity: int | None
    attempts: int
    last_error: str | None


async def sync_seats(service: Service, user_id: str, members: int, *, actor: str) -> Seats:
    """Have the user's subscription pay for so many members: its quantity is set to that within seconds.

    Never to less than the members, nor than the plan sells at least. More and fewer seats are prorated with
    the next invoice. Safe to repeat: it is changed only where the quantity differs.

    Raises:
        InvalidRequest: when the user's id cannot be one, or the number is negative or too great.
        StripeKeyMissing: without a usable key.
        Unavailable: when the database cannot take it now.
    """
    stripe_of(service)
    if as_id(user_id) is None:
        raise InvalidRequest(f"user_id: a text of 1 to {MAX_ID_LENGTH} printable characters.")
    if not 0 <= members <= MAX_QUANTITY:
        raise InvalidRequest(f"members: a whole number from 0 to {MAX_QUANTITY}.")
    now = int(service.clock())
    await _store(service.database, user_id, members, actor, now)
    return await read_seats(service, user_id)


async def read_seats(service: Service, user_id: str) -> Seats:
    """The user's seats, as they were last asked for and set.

    Raises:
        NotFound: when nothing was asked for yet.
    """
    async with service.database.reading() as session:
        row = await session.get(SeatRequest, user_id) if as_id(user_id) else None
    if row is None:
        raise NotFound("No seats were synced for this user.")
    pending = row.wanted != row.done
    return Seats(
        user_id=row.user_id,
        members=row.members,
        pending=pending,
        requested_at=row.requested_at,
        due_at=row.due_at if pending else None,
        done_at=row.done_at,
        subscription_id=row.subscription_id,
        quantity=row.quantity,
        attempts=row.attempts,
        last_error=row.last_error,
    )


async def _store(database: Database, user_id: str, members: int, actor: str, now: int) -> None:
    """Count the request, in one statement: two at once are both counted, and the later one's number stays."""
    insert = sqlite.insert if database.name == "sqlite" else postgresql.insert
    table = table_of(SeatRequest)
    first = {
        "user_id": user_id,
        "members": members,
        "wanted": 1,
        "done": 0,
        "actor": actor,
        "requested_at": now,
        "due_at": now + DEBOUNCE_SECONDS,
        "leased_until": 0,
        "attempts": 0,
    }
    requested_at = col(SeatRequest.requested_at)
    is_pending = (col(SeatRequest.wanted) != col(SeatRequest.done)) & (requested_at <= now)
    since = case((is_pending, requested_at), else_=now)
    latest = since + LONGEST_DELAY_SECONDS
    due = case((latest < now + DEBOUNCE_SECONDS, latest), else_=literal(now + DEBOUNCE_SECONDS))
    again = {
        "members": members,
        "wanted": col(SeatRequest.wanted) + 1,
        "actor": actor,
        "requested_at": since,
        "due_at": due,
        "attempts": 0,
        "last_error": None,
    }
    statement = insert(table).values(**first)
    statement = statement.on_conflict_do_update(index_elements=["user_id"], set_=again)
    async with database.session() as session:
        await (await session.connection()).execute(statement)
