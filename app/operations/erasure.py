"""Removes a person's data: what the records are about stays, who it was goes, and stays away.

Kept are ids, amounts, states and times, which access and bookkeeping rest on; removed are e-mail addresses,
names, metadata, links to invoices, and all other text of the raw events. The user's own id is the
application's, and stays. The records are marked as erased, so that nothing that comes later brings it back:
see `inbox.erased`. `docs/decisions/0023-erased-people-stay-forgotten.md` has the reasons.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.audit import audit_entry
from ..db.models import (
    AuditEntry,
    Customer,
    Grant,
    Invoice,
    Override,
    SeatRequest,
    Subscription,
    WebhookEvent,
)
from ..inbox.erased import impersonal_columns
from ..stripe.reduction import reduced, reduced_value
from .personal_data import (
    OF_USERS,
    PersonalData,
    StoredEvent,
    events_about,
    find_personal_data,
    reactions_about,
    records_of,
    steps,
)

ERASED = "[erased]"
FREE_TEXT = frozenset({"reason", "email", "name", "description", "note", "last_error", "metadata"})
"""The members of an audit entry that somebody wrote about a person."""


async def erase_user(
    database: Database, user_id: str, *, actor: str, at: int, link_keys: Sequence[str] = ("user_id",)
) -> dict[str, int]:
    """Remove the personal data of a user, of its subscriptions and of the customers linked to it; how many
    rows of each kind. `link_keys`: the metadata keys that name a user, which stay. `at` in Unix seconds.

    In steps, each a transaction of its own, so that webhooks are taken meanwhile; it looks at every stored
    event once, for those that name a customer inside. One that was interrupted is run again.

    Raises:
        NotFound: when nothing is known of the user.
    """
    data = await find_personal_data(database, user_id)
    # The trail first: it needs the addresses, which the records lose.
    audited = await _erase_audit(database, data, [user_id, *data.customers, *data.subscriptions])
    overrides = await _erase_overrides(database, data)
    records = await _erase_records(database, data, at, link_keys)
    reactions = await _erase_reactions(database, data, link_keys)
    events = 0
    async for found in events_about(database, data):
        changed = [(id, left) for id, body in found if (left := reduced(body, link_keys)) != body]
        await _erase_events(database, changed)
        audited += await _erase_audit(database, data, [id for id, _ in found])
        events += len(changed)
    erased = records | {
        "overrides": overrides,
        "events": events,
        "reactions": reactions,
        "audit_entries": audited,
    }
    async with database.session() as session:
        await database.count_up(session, user_id)
        session.add(audit_entry(at=at, actor=actor, action="user.erased", subject=user_id, after=erased))
    return erased


async def _erase_records(
    database: Database, data: PersonalData, at: int, link_keys: Sequence[str]
) -> dict[str, int]:
    counts = {Customer: 0, Subscription: 0, Invoice: 0}
    for model, ids in records_of(data):
        async with database.session() as session:
            # A batch under way would write the rows back as it loaded them.
            await database.hold(session, [f"{_kind(model)}:{id}" for id in ids])
            rows = list(await session.exec(select(model).where(col(model.id).in_(ids))))
            for row in rows:
                values = impersonal_columns(row, link_keys)
                _set(session, row, values if isinstance(row, Invoice) else values | {"erased_at": at})
            counts[model] += len(rows)
    return {"customers": counts[Customer], "subscriptions": counts[Subscription], "invoices": counts[Invoice]}


def _kind(model: type[Customer | Subscription | Invoice]) -> str:
    return {Customer: "customer", Subscription: "subscription", Invoice: "invoice"}[model]


def _set(session: AsyncSession, row: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    session.add(row)


async def _erase_overrides(database: Database, data: PersonalData) -> int:
    async with database.session() as session:
        overrides = list(await session.exec(select(Override).where(Override.user_id == data.user_id)))
        grants = list(await session.exec(select(Grant).where(Grant.user_id == data.user_id)))
        rows: list[Override | Grant] = [*overrides, *grants]
        for row in rows:
            actor = _without_addresses(row.actor, data.emails)
            _set(session, row, {"reason": None, "actor": actor})
        if (seats := await session.get(SeatRequest, data.user_id)) is not None:
            actor = _without_addresses(seats.actor, data.emails)
            _set(session, seats, {"actor": actor, "last_error": None})
    return len(overrides)


async def _erase_reactions(database: Database, data: PersonalData, link_keys: Sequence[str]) -> int:
    """Reduce what was announced, and what is still to be."""
    count = 0
    async with database.session() as session:
        async for entries in reactions_about(session, data):
            for entry in entries:
                facts = entry.reaction.get("facts", {})
                if entry.signal not in OF_USERS:
                    facts = reduced_value(facts, link_keys)
                if facts == entry.reaction.get("facts", {}) and entry.last_error is None:
                    continue
                reaction = entry.reaction | {"facts": facts}
                _set(session, entry, {"reaction": reaction, "last_error": None})
                count += 1
    return count


async def _erase_events(database: Database, changed: Sequence[tuple[str, str]]) -> None:
    for some in steps(changed):
        async with database.session() as session:
            connection = await session.connection()
            for event_id, body in some:
                values = {"body": body, "signature": None, "last_error": None}
                statement = update(WebhookEvent).where(col(WebhookEvent.id) == event_id).values(**values)
                await connection.execute(statement)


async def _erase_audit(database: Database, data: PersonalData, subjects: Sequence[str]) -> int:
    """Remove what somebody wrote about the person, and the person's own address, from the audit trail."""
    count = 0
    for some in steps(subjects):
        async with database.session() as session:
            for entry in list(
                await session.exec(select(AuditEntry).where(col(AuditEntry.subject).in_(some)))
            ):
                values = {
                    "actor": _without_addresses(entry.actor, data.emails) or ERASED,
                    "before": _without_free_text(entry.before, data.emails),
                    "after": _without_free_text(entry.after, data.emails),
                }
                _set(session, entry, values)
                count += 1
    return count


def _without_free_text(value: Any, emails: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: None if name in FREE_TEXT else _without_free_text(inner, emails)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_free_text(inner, emails) for inner in value]
    return _without_addresses(value, emails) if isinstance(value, str) else value


def _without_addresses(text: str | None, emails: Collection[str]) -> str | None:
    if text is None or not any(email.lower() in text.lower() for email in emails):
        return text
    return ERASED


__all__ = ["StoredEvent", "erase_user", "reduced"]
