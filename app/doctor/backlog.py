"""What waits or was given up: events in the inbox, reactions in the outbox."""

from typing import Any

from sqlmodel import col, func, select

from .. import COMMAND
from ..db.models import EventState, OutboxEntry, OutboxState, WebhookEvent
from ..worker.alerts import BACKLOG_SECONDS
from .findings import Check, Finding, counted, named
from .installation import Installation


async def no_event_is_dead(installation: Installation) -> list[Finding]:
    dead = await _events(installation, col(WebhookEvent.state) == EventState.DEAD)
    if not dead:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(dead), 'event')} given up after three days of failing (dead), which the records "
            f"lack: {named(dead)}.",
            "GET /internal/events?state=dead has the errors; once mended, "
            f"`{COMMAND} events replay --state dead`.",
        )
    ]


async def no_event_keeps_failing(installation: Installation) -> list[Finding]:
    since = installation.now - BACKLOG_SECONDS
    failing = await _events(
        installation, col(WebhookEvent.state) == EventState.FAILED, col(WebhookEvent.received_at) < since
    )
    if not failing:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(failing), 'event')} not applied for more than {BACKLOG_SECONDS // 60} minutes: "
            f"{named(failing)}.",
            "GET /internal/events?state=failed has the errors. They are tried again by themselves while the "
            f"service or `{COMMAND} worker` runs.",
        )
    ]


async def no_thin_event_waits(installation: Installation) -> list[Finding]:
    """Stripe is asked about a thin event as soon as it can be: one that is old has nobody who does."""
    conditions = [col(WebhookEvent.state) == EventState.PENDING]
    if installation.stripe is not None:
        conditions.append(col(WebhookEvent.received_at) < installation.now - BACKLOG_SECONDS)
    waiting = await _events(installation, *conditions)
    if not waiting:
        return []
    remedy = "Set STRIPE_API_KEY, or have the endpoint send snapshot events."
    if installation.stripe is not None:
        remedy = "Start the service, or see its log for why Stripe cannot be asked."
    what = "that names only its object" if len(waiting) == 1 else "that name only their objects"
    return [
        Finding(
            "warning",
            f"{counted(len(waiting), 'thin event')} {what} and cannot be applied until Stripe is asked: "
            f"{named(waiting)}.",
            remedy,
        )
    ]


async def _events(installation: Installation, *conditions: Any) -> list[str]:
    query = select(WebhookEvent.id).where(*conditions).order_by(col(WebhookEvent.received_at).desc())
    async with installation.database.reading() as session:
        return list(await session.exec(query))


async def no_reaction_is_dead(installation: Installation) -> list[Finding]:
    query = (
        select(OutboxEntry.receiver, func.count())
        .where(col(OutboxEntry.state) == OutboxState.DEAD)
        .group_by(col(OutboxEntry.receiver))
        .order_by(col(OutboxEntry.receiver))
    )
    async with installation.database.reading() as session:
        rows = (await session.exec(query)).all()
    return [
        Finding(
            "error",
            f"{counted(count, 'reaction')} for the receiver {receiver} given up after three days (dead).",
            "Its last_error in the table billing_outbox says why. Once mended: UPDATE billing_outbox "
            "SET state = 'pending', attempts = 0, failing_since = NULL, next_attempt_at = 0 "
            "WHERE state = 'dead'.",
        )
        for receiver, count in rows
    ]


CHECKS = (
    Check("dead-events", "No event is dead.", no_event_is_dead, ("records",)),
    Check("failing-events", "No event keeps failing.", no_event_keeps_failing, ("records",)),
    Check("thin-events", "No thin event waits for Stripe.", no_thin_event_waits, ("records",)),
    Check("dead-reactions", "No reaction is dead.", no_reaction_is_dead, ("records",)),
)
