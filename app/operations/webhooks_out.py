"""Outbound webhooks: where they go and what waits there, and sending what users have once more."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import bindparam, text

from ..db.audit import ALL, audit_entry
from ..errors import NotFound
from ..reactions.webhooks import receiver_name
from ..service import Service

# The condition is that of a partial index, so that finished rows are never read.
WAITING = text(
    "SELECT receiver, COUNT(CASE WHEN state = 'pending' THEN 1 END) AS pending, "
    "COUNT(CASE WHEN state = 'dead' THEN 1 END) AS dead, MIN(failing_since) AS failing_since, "
    "MAX(last_error) AS last_error FROM billing_outbox WHERE state IN ('pending', 'dead') "
    "AND receiver IN :receivers GROUP BY receiver"
).bindparams(bindparam("receivers", expanding=True))


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """A destination, and the messages that it has not taken. `failing_since` in Unix seconds."""

    receiver: str
    """Its name in the outbox."""
    origin: str
    """The address without its path, which may hold a token."""
    secrets: int
    """How many sign: two while one is rotated."""
    pending: int = 0
    dead: int = 0
    failing_since: int | None = None
    last_error: str | None = None


async def read_destinations(service: Service) -> list[DestinationStatus]:
    """The destinations of WEBHOOK_OUT_URLS, in that order."""
    found = {receiver_name(each): each for each in service.settings.destinations}
    if not found:
        return []
    async with service.database.reading() as session:
        connection = await session.connection()
        rows = await connection.execute(WAITING, {"receivers": list(found)})
        waiting = {row.receiver: dict(row._mapping) for row in rows}
    statuses = []
    for name, destination in found.items():
        parts = urlsplit(destination.url.get_secret_value())
        origin = f"{parts.scheme}://{parts.netloc}"
        facts = waiting.get(name, {"receiver": name})
        statuses.append(DestinationStatus(origin=origin, secrets=len(destination.secrets), **facts))
    return statuses


async def resend_states(service: Service, user_id: str | None, *, actor: str) -> int:
    """Have the state of a user, or (None) of every user, sent to every destination, though it is unchanged;
    how many users. The running service sends them, changed users first.

    Raises:
        NotFound: when nothing is known of the user.
    """
    states = service.worker.user_states
    assert states is not None
    count = await states.mark_all(again=True) if user_id is None else await states.mark(user_id)
    if not count and user_id is not None:
        raise NotFound("Nothing is known of a user with this id. Nothing is sent.")
    async with service.database.session() as session:
        session.add(
            audit_entry(
                at=int(service.clock()),
                actor=actor,
                action="webhooks_out.resend",
                subject=user_id or ALL,
                after={"users": count},
            )
        )
    return count
