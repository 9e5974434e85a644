"""Exports everything that is stored of a user: what a person may ask for (GDPR, articles 15 and 20)."""

from typing import Any

import orjson
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.models import (
    AuditEntry,
    Grant,
    OpenedSession,
    Override,
    Purchase,
    SeatRequest,
    Usage,
    UsageKey,
    UsagePeriod,
    WebhookEvent,
)
from ..limits.grants import purchases_of
from .personal_data import PersonalData, events_about, find_personal_data, reactions_about, records_of, steps

Json = dict[str, Any]


async def export_user(database: Database, user_id: str) -> Json:
    """All rows about a user, by kind, each as it is stored; times in Unix seconds. An event has its body as
    JSON, or as text where it is none. Customers that only pay for the user are somebody else's.

    Raises:
        NotFound: when nothing is known of the user.
    """
    data = await find_personal_data(database, user_id)
    async with database.reading() as session:
        exported: Json = {"user_id": user_id} | await _records(session, data)
        for name, model in (
            ("overrides", Override),
            ("grants", Grant),
            ("usage", Usage),
            ("usage_periods", UsagePeriod),
            ("usage_keys", UsageKey),
            ("checkout_sessions", OpenedSession),
            ("seats", SeatRequest),
        ):
            rows = await session.exec(select(model).where(col(model.user_id) == user_id))
            exported[name] = [row.model_dump() for row in rows]
        bought = await session.exec(select(Purchase).where(purchases_of(user_id)))
        exported["purchases"] = [row.model_dump() for row in bought]
        found = [entry async for entries in reactions_about(session, data) for entry in entries]
        exported["reactions"] = [entry.model_dump() for entry in found]
    exported["events"] = [
        event async for ids in events_about(database, data) for event in await _events(database, ids)
    ]
    subjects = [user_id, *data.customers, *data.subscriptions, *(each["id"] for each in exported["events"])]
    exported["audit_entries"] = await _audit(database, subjects)
    return exported


async def _records(session: AsyncSession, data: PersonalData) -> Json:
    found: Json = {"customers": [], "subscriptions": [], "invoices": []}
    for model, ids in records_of(data):
        rows = await session.exec(select(model).where(col(model.id).in_(ids)))
        found[f"{model.__tablename__.removeprefix('billing_')}s"] += [row.model_dump() for row in rows]
    return found


async def _events(database: Database, found: list[Any]) -> list[Json]:
    async with database.reading() as session:
        events = select(WebhookEvent).where(col(WebhookEvent.id).in_([each.id for each in found]))
        rows = list(await session.exec(events.order_by(col(WebhookEvent.id))))
    return [row.model_dump() | {"body": _content(row.body)} for row in rows]


def _content(body: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body


async def _audit(database: Database, subjects: list[str]) -> list[Json]:
    entries: list[Json] = []
    for some in steps(subjects):
        async with database.reading() as session:
            rows = await session.exec(select(AuditEntry).where(col(AuditEntry.subject).in_(some)))
            entries += [row.model_dump() for row in rows]
    return sorted(entries, key=lambda each: (each["at"], each["id"]))
