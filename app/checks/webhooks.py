"""Checks of how events arrive: webhooks that are refused, events that only a catch-up brings, and silence."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from .. import COMMAND
from ..db.models import EventArrival, WebhookEvent
from .finding import Check, Context, Finding, Level, Scope

WINDOW_SECONDS = 86_400
WEBHOOK, CATCH_UP = "webhook", "catch-up"
REFUSALS = {
    "wrong-secret": (
        "no secret of STRIPE_WEBHOOK_SECRET signed them",
        "Put the signing secret of exactly this endpoint (Stripe's Dashboard, Developers > Webhooks) into "
        "STRIPE_WEBHOOK_SECRET and restart: each endpoint, each mode and `stripe listen` has its own, and "
        "several are separated by commas. Nothing between may change the body. Where the Dashboard shows no "
        "failed delivery, a stranger sends them, and nothing is lost.",
    ),
    "wrong-clock": (
        "they were signed more than five minutes ago, or in the future",
        "Set this machine's clock by NTP (`timedatectl set-ntp true`). Where it is right, somebody sends old "
        "webhooks again, and nothing is lost.",
    ),
    "no-signature": (
        "they came from Stripe without the header Stripe-Signature",
        "Let the proxy before this service pass the header Stripe-Signature on.",
    ),
}
"""Why webhooks were refused, and the remedy."""


async def webhooks_are_accepted(context: Context, scope: Scope | None) -> list[Finding]:
    async with context.database.reading() as session:
        return await refused_webhooks(session, context.now)


async def refused_webhooks(session: AsyncSession, now: int) -> list[Finding]:
    """An error while none is accepted, a warning while the newest was refused, then a hint for a day."""
    rows = await _arrivals(session, now)
    refused = [row for row in rows if row.way in REFUSALS]
    accepted = await _last_accepted(session, rows, now) if refused else None
    return [
        _refused([row for row in refused if row.way == way], way, accepted, rows)
        for way in REFUSALS
        if any(row.way == way for row in refused)
    ]


def _refused(
    refused: Sequence[EventArrival], way: str, accepted: int | None, rows: Sequence[EventArrival]
) -> Finding:
    why, remedy = REFUSALS[way]
    level: Level = "hint"
    beside = "since the last of them webhooks are accepted"
    if accepted is None or accepted < min(row.first_at for row in refused):
        level, beside = "error", "none has been accepted since the first of them"
    elif accepted < max(row.last_at for row in refused):
        level = "warning"
        beside = f"{sum(row.count for row in rows if row.way == WEBHOOK)} were accepted"
    count = sum(row.count for row in refused)
    return Finding(
        level,
        f"{count} webhook{'s' if count != 1 else ''} of the last 24 hours refused, because {why}; {beside}.",
        remedy,
        "Webhooks are refused",
    )


async def events_come_by_webhook(context: Context, scope: Scope | None) -> list[Finding]:
    async with context.database.reading() as session:
        return await missed_webhooks(session, context.now)


async def missed_webhooks(session: AsyncSession, now: int) -> list[Finding]:
    """Stripe sends again what was not accepted: events that only a catch-up brings have no webhook at all."""
    rows = await _arrivals(session, now)
    caught = [row for row in rows if row.way == CATCH_UP]
    accepted = await _last_accepted(session, rows, now) if caught else None
    late = [row for row in caught if accepted is None or row.last_at > accepted]
    if not late:
        return []
    count = sum(row.count for row in late)
    since = "in the last 24 hours" if accepted is None else "since"
    return [
        Finding(
            "warning",
            f"{count} event{'s' if count != 1 else ''} came by catch-up, and none by webhook {since}: the "
            "records are late by up to CATCH_UP_MINUTES.",
            "See in Stripe's Dashboard, Developers > Webhooks, whether the endpoint is enabled, leads here "
            f"and is answered with 200; `{COMMAND} doctor` looks for it. Just after the set-up the next "
            "webhook clears this.",
            "No event comes by webhook",
        )
    ]


async def _arrivals(session: AsyncSession, now: int) -> list[EventArrival]:
    """How events arrived within the window, by the hour."""
    query = select(EventArrival).where(col(EventArrival.last_at) >= now - WINDOW_SECONDS)
    return list(await session.exec(query))


async def _last_accepted(session: AsyncSession, rows: Sequence[EventArrival], now: int) -> int | None:
    """When the last webhook of the window was accepted; older processes count none, but store what is new."""
    counted = [row.last_at for row in rows if row.way == WEBHOOK]
    query = (
        select(WebhookEvent.received_at)
        .where(col(WebhookEvent.source) == "stripe", col(WebhookEvent.received_at) >= now - WINDOW_SECONDS)
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(1)
    )
    stored = (await session.exec(query)).first()
    return max((at for at in (*counted, stored) if at is not None), default=None)


async def silence(context: Context, scope: Scope | None) -> list[Finding]:
    if not context.silence_hours:
        return []
    async with context.database.reading() as session:
        last = await last_webhook(session)
    if last is None or context.now - last <= context.silence_hours * 3600:
        return []
    return [
        Finding(
            "warning",
            f"No webhook has arrived for {(context.now - last) / 3600:.0f} hours; SILENCE_HOURS is "
            f"{context.silence_hours:g}.",
            "See in Stripe's Dashboard, Developers > Webhooks, whether the endpoint is enabled and reaches "
            f"this service; `{COMMAND} doctor` looks for it.",
            "No webhooks arrive",
        )
    ]


async def last_webhook(session: AsyncSession) -> int | None:
    """When the newest webhook was received, in Unix seconds."""
    query = (
        select(WebhookEvent.received_at)
        .where(col(WebhookEvent.source) == "stripe")
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(1)
    )
    return (await session.exec(query)).first()


CHECKS = (
    Check("refused-webhooks", "No webhook is refused for its signature.", webhooks_are_accepted),
    Check("catch-up-only", "Events come by webhook, not by catch-up alone.", events_come_by_webhook),
    Check("silence", "Webhooks arrive.", silence),
)
