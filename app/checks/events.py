"""Checks of the inbox and the outbox: what was given up, what keeps failing, and what waits."""

from typing import Any

from sqlalchemy import literal_column
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from .. import COMMAND
from ..db.models import EventState, OutboxEntry, OutboxState, WebhookEvent
from .finding import MOST, Check, Context, Finding, Scope, counted, named

FAILING_SECONDS = 300
"""How long an event may fail before it is a fault: most retries succeed within minutes."""


async def dead_events(context: Context, scope: Scope | None) -> list[Finding]:
    dead = await _events(context, scope, EventState.DEAD)
    if not dead:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(dead), 'event')} given up after three days of failing (dead), which the records "
            f"lack: {_listed(dead, scope)}.",
            "GET /internal/events?state=dead has the errors; once fixed, "
            f"`{COMMAND} events replay --state dead`.",
            "An event is dead" if len(dead) == 1 else f"{counted(len(dead), 'event')} are dead",
            [event.id for event in dead],
        )
    ]


async def failing_events(context: Context, scope: Scope | None) -> list[Finding]:
    failing = await _events(context, scope, EventState.FAILED, context.now - FAILING_SECONDS)
    if not failing:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(failing), 'event')} not applied for more than {FAILING_SECONDS // 60} minutes: "
            f"{_listed(failing, scope)}.",
            "GET /internal/events?state=failed has the errors. They are tried again by themselves while the "
            f"service or `{COMMAND} worker` runs.",
            "An event failed" if len(failing) == 1 else f"{counted(len(failing), 'event')} failed",
            [event.id for event in failing],
        )
    ]


async def thin_events(context: Context, scope: Scope | None) -> list[Finding]:
    """Stripe is asked about a thin event as soon as it can be: an old one waits for nobody."""
    before = context.now - FAILING_SECONDS if context.has_stripe_key else None
    waiting = await _events(context, scope, EventState.PENDING, before)
    if not waiting:
        return []
    remedy = "Set STRIPE_API_KEY, or have the endpoint send snapshot events."
    if context.has_stripe_key:
        remedy = "Start the service, or see its log for why Stripe cannot be asked."
    what = "that names only its object" if len(waiting) == 1 else "that name only their objects"
    return [
        Finding(
            "warning",
            f"{counted(len(waiting), 'thin event')} {what} and cannot be applied until Stripe is asked: "
            f"{named([event.id for event in waiting])}.",
            remedy,
            "A thin event is deferred"
            if len(waiting) == 1
            else f"{counted(len(waiting), 'thin event')} are deferred",
            [event.id for event in waiting],
        )
    ]


async def _events(
    context: Context, scope: Scope | None, state: str, received_before: int | None = None
) -> list[Any]:
    """The events in a state, the newest first."""
    if scope is not None and not scope.events:
        return []
    query = (
        select(WebhookEvent.id, WebhookEvent.last_error)
        # Written out, not bound: a partial index is used only where its condition is seen to hold.
        .where(literal_column("state") == literal_column(f"'{state}'"))
        .order_by(col(WebhookEvent.received_at).desc(), col(WebhookEvent.id))
        .limit(MOST)
    )
    if received_before is not None:
        query = query.where(col(WebhookEvent.received_at) < received_before)
    if scope is not None:
        query = query.where(col(WebhookEvent.id).in_(scope.events))
    async with context.database.reading() as session:
        return list(await session.exec(query))


def _listed(events: list[Any], scope: Scope | None) -> str:
    """The events by name; of an account also the last error of the newest."""
    ids = named([event.id for event in events])
    if scope is None or not events[0].last_error:
        return ids
    return f"{ids} ({events[0].last_error})"


async def failing_since(session: AsyncSession) -> int | None:
    """When the oldest event was received that fails, in Unix seconds."""
    query = (
        select(WebhookEvent.received_at)
        .where(literal_column("state") == literal_column(f"'{EventState.FAILED}'"))
        .order_by(col(WebhookEvent.received_at))
        .limit(1)
    )
    return (await session.exec(query)).first()


async def dead_reactions(context: Context, scope: Scope | None) -> list[Finding]:
    query = (
        select(OutboxEntry.receiver, func.count())
        .where(col(OutboxEntry.state) == OutboxState.DEAD)
        .group_by(col(OutboxEntry.receiver))
        .order_by(col(OutboxEntry.receiver))
    )
    async with context.database.reading() as session:
        rows = (await session.exec(query)).all()
    return [
        Finding(
            "error",
            f"{counted(count, 'reaction')} for the receiver {receiver} given up after three days (dead).",
            "GET /internal/outbox?state=dead has the errors (last_error in the table billing_outbox); once "
            f"fixed, `{COMMAND} outbox replay --receiver {receiver}`.",
            "Reactions are dead",
            [receiver],
        )
        for receiver, count in rows
    ]


async def failing_receivers(context: Context, scope: Scope | None) -> list[Finding]:
    failing = col(OutboxEntry.failing_since) < context.now - FAILING_SECONDS
    query = (
        select(OutboxEntry.receiver, func.count(), func.max(OutboxEntry.last_error))
        # Written out, not bound: a partial index is used only where its condition is seen to hold.
        .where(literal_column("state") == literal_column(f"'{OutboxState.PENDING}'"), failing)
        .group_by(col(OutboxEntry.receiver))
        .order_by(col(OutboxEntry.receiver))
    )
    async with context.database.reading() as session:
        rows = (await session.exec(query)).all()
    return [
        Finding(
            "warning",
            f"{counted(count, 'reaction')} not taken by the receiver {receiver} for more than "
            f"{FAILING_SECONDS // 60} minutes: {error}",
            "Each is tried again by itself for three days. For a webhook, look at its receiver; "
            f"`{COMMAND} outbox replay --receiver {receiver}` tries at once.",
            "A receiver fails",
            [receiver],
        )
        for receiver, count, error in rows
    ]


CHECKS = (
    Check("dead-events", "No event is dead.", dead_events, of_account=True),
    Check("failing-events", "No event keeps failing.", failing_events, of_account=True),
    Check("thin-events", "No thin event waits for Stripe.", thin_events, of_account=True),
    Check("dead-reactions", "No reaction is dead.", dead_reactions),
    Check("failing-receivers", "No receiver keeps failing.", failing_receivers),
)
