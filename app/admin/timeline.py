"""The timeline: everything that happened to an account, newest first, in pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.audit import action_name, subject_name
from ..db.keyset import cut_page, in_key_order
from ..db.models import AuditEntry, OutboxEntry, Override, WebhookEvent
from ..errors import InvalidPayload
from ..operations.accounts import Account
from ..stripe.events import StripeEvent, parse
from . import diff
from .diff import Change
from .formatting import day, display_name, duration, encoded
from .sentences import date_of, sentence

PAGE = 25
MOST_EVENT_IDS = 1000
SAME_SECOND = 5
"""How many events up to a given one are read to find the one before it; several may share a second."""
MOST_RAW = 20_000
"""Characters of a raw event in the timeline; the page of the event shows all of it."""

Place = tuple[int, str]

STEPS = (
    "customer.created",
    "customer.subscription.created",
    "invoice.created",
    "invoice.finalized",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.updated",
    "checkout.session.completed",
    "customer.subscription.deleted",
    "customer.deleted",
)
"""The order of events within one second, which is the resolution of Stripe's timestamps."""
LATER = len(STEPS)


def step_of(event_type: str) -> int:
    return STEPS.index(event_type) if event_type in STEPS else STEPS.index("customer.subscription.updated")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened at `at` (Unix seconds)."""

    at: int
    id: str
    kind: str
    title: str
    notes: tuple[str, ...] = ()
    tone: str = ""
    changes: Sequence[Change] = ()
    raw: str = ""
    link: str | None = None
    actions: Sequence[tuple[str, str]] = field(default=())
    step: int = LATER
    """Its position among the entries of the same second."""

    @property
    def place(self) -> Place:
        return self.at, self.id


async def read_page(
    session: AsyncSession, account: Account, before: Place | None
) -> tuple[list[Entry], Place | None]:
    """The entries older than `before`, and the place where the next page starts."""
    entries = [
        *await _events(session, account, before),
        *await _reactions(session, account, before),
        *await _audits(session, account, before),
        *(
            entry
            for entry in map(override_entry, account.overrides)
            if before is None or entry.place < before
        ),
    ]
    entries.sort(key=lambda entry: entry.place, reverse=True)
    page, following = cut_page(entries, PAGE, lambda entry: entry.place)
    # Pages are cut by (at, id). Within a page, the entries of one second are in the order of their steps.
    return sorted(page, key=lambda entry: (entry.at, entry.step), reverse=True), following


async def _events(session: AsyncSession, account: Account, before: Place | None) -> list[Entry]:
    at = func.coalesce(col(WebhookEvent.created), col(WebhookEvent.received_at))
    query = select(WebhookEvent).where(col(WebhookEvent.object_id).in_(account.object_ids))
    newest = in_key_order(query, (at, col(WebhookEvent.id)), before, descending=True)
    rows = list(await session.exec(newest.limit(PAGE + 1)))
    rows.sort(key=lambda row: (row.created or row.received_at, step_of(row.type), row.id), reverse=True)
    parsed = {row.id: read_body(row) for row in rows}
    entries = []
    for place, row in enumerate(rows):
        event = parsed[row.id]
        entries.append(
            event_entry(
                row,
                event,
                await _changes(session, row, event, rows[place + 1 :], parsed),
                consequence=consequence(account, event),
            )
        )
    return entries


async def _changes(
    session: AsyncSession,
    row: WebhookEvent,
    event: StripeEvent | None,
    older: Sequence[WebhookEvent],
    parsed: Mapping[str, StripeEvent | None],
) -> list[Change]:
    if event is None or event.thin or row.source == "internal":
        return internal_changes(row)
    if event.previous_attributes:
        return diff.of_event(event.object, event.previous_attributes, None)
    earlier = (
        parsed[each.id] for each in older if each.object_id == row.object_id and each.source != "internal"
    )
    known = next((each for each in earlier if each is not None and not each.thin), None)
    if known is None:
        known = await snapshot_before(session, row)
    return diff.of_event(event.object, None, known.object if known else None)


async def snapshot_before(session: AsyncSession, row: WebhookEvent) -> StripeEvent | None:
    """The event of the same object before this one, if it has a snapshot."""
    key = (col(WebhookEvent.created), col(WebhookEvent.id))
    if row.created is None or row.object_id is None:
        return None
    query = (
        select(WebhookEvent)
        .where(
            col(WebhookEvent.object_id) == row.object_id,
            col(WebhookEvent.source) != "internal",
            col(WebhookEvent.id) != row.id,
            key[0] <= row.created,
        )
        .order_by(key[0].desc(), key[1].desc())
        .limit(SAME_SECOND)
    )
    own = (row.created, step_of(row.type), row.id)
    earlier = [
        each for each in await session.exec(query) if (each.created, step_of(each.type), each.id) < own
    ]
    found = max(earlier, key=lambda each: (each.created, step_of(each.type), each.id), default=None)
    event = read_body(found) if found else None
    return None if event is None or event.thin else event


def read_body(row: WebhookEvent) -> StripeEvent | None:
    """The event in a row; None for an update by the internal API, and for a body that cannot be parsed."""
    if row.source == "internal":
        return None
    try:
        return parse(row.body.encode("utf-8", "replace"))
    except InvalidPayload:
        return None


def internal_changes(row: WebhookEvent) -> list[Change]:
    """The fields of an update by the internal API; empty for an event of Stripe."""
    if row.source != "internal":
        return []
    content = orjson.loads(row.body)
    return diff.limited(diff.difference({}, {name: content[name] for name in content if name != "id"}))


TONES = {"dead": "bad", "failed": "bad", "pending": "warn", "ignored": "quiet"}


def consequence(account: Account, event: StripeEvent | None) -> str:
    """What a failed payment means for access now, while its invoice is open."""
    if event is None or event.type != "invoice.payment_failed":
        return ""
    invoice = next((each for each in account.invoices if each.id == event.object_id), None)
    judged = account.judged(invoice.subscription_id or "") if invoice and invoice.status == "open" else None
    if judged is None:
        return ""
    if judged.access.level == "grace":
        return f"; access continues until {date_of(judged.access.grace_ends_at)}"
    return "; access has ended" if judged.access.reason == "grace_over" else ""


def event_entry(
    row: WebhookEvent, event: StripeEvent | None, changed: Sequence[Change], *, consequence: str = ""
) -> Entry:
    replayable = row.source != "internal" and row.state in ("dead", "failed")
    return Entry(
        at=row.created if row.created is not None else row.received_at,
        id=row.id,
        kind="internal update" if row.source == "internal" else "event",
        title=_event_title(row, event) + consequence,
        notes=tuple(_event_notes(row, event)),
        tone=TONES.get(row.state, ""),
        changes=changed,
        raw=raw_body(row.body)[:MOST_RAW],
        link=f"/event?id={encoded(row.id)}",
        step=step_of(row.type),
        actions=[("Replay", f"/action/replay?event={encoded(row.id)}")] if replayable else [],
    )


def _event_title(row: WebhookEvent, event: StripeEvent | None) -> str:
    if row.source == "internal":
        return INTERNAL_TITLES.get(row.type, row.type)
    return (sentence(event) if event else row.type) or "An event without a type"


INTERNAL_TITLES = {
    "internal.subscription.updated": "The internal API updated the subscription",
    "internal.customer.linked": "The internal API linked the customer",
}


def _event_notes(row: WebhookEvent, event: StripeEvent | None) -> Iterable[str]:
    yield row.type or "no type"
    yield row.object_id or "no object"
    yield row.state
    if row.created is not None and row.received_at - row.created > 60 and row.source != "internal":
        yield f"received {duration(row.received_at - row.created)} later"
    if row.attempts > 1:
        yield f"{row.attempts} attempts"
    if event is not None and event.thin:
        yield "thin: it names only the object that changed"
    if row.last_error:
        yield f"error: {row.last_error}"


def raw_body(body: str) -> str:
    """The body indented, or unchanged if it is indented already."""
    if "\n" in body:
        return body
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body


async def _reactions(session: AsyncSession, account: Account, before: Place | None) -> list[Entry]:
    customers = [customer.id for customer in account.customers]
    query = select(OutboxEntry).where(col(OutboxEntry.customer_id).in_(customers))
    key = (col(OutboxEntry.created_at), col(OutboxEntry.id))
    newest = in_key_order(query, key, before, descending=True).limit(PAGE + 1)
    return [reaction_entry(row) for row in await session.exec(newest)]


def reaction_entry(row: OutboxEntry) -> Entry:
    notes = [row.signal, *([f"to {row.receiver}", row.state] if row.receiver else ["announced"])]
    if row.last_error:
        notes.append(f"error: {row.last_error}")
    return Entry(
        at=row.created_at,
        id=row.id,
        kind="reaction",
        title=f"Announced: {row.signal.replace('_', ' ')}",
        notes=tuple(notes),
        tone="bad" if row.state == "dead" else "",
        raw=orjson.dumps(row.reaction, option=orjson.OPT_INDENT_2).decode()[:MOST_RAW],
    )


async def _audits(session: AsyncSession, account: Account, before: Place | None) -> list[Entry]:
    subjects = [*account.subjects, *await _event_ids(session, account)]
    query = select(AuditEntry).where(col(AuditEntry.subject).in_(subjects))
    newest = in_key_order(query, (col(AuditEntry.at), col(AuditEntry.id)), before, descending=True)
    return [audit_entry_of(row) for row in await session.exec(newest.limit(PAGE + 1))]


async def _event_ids(session: AsyncSession, account: Account) -> list[str]:
    """The ids of the account's events, which replays have as their subject in the audit trail."""
    query = (
        select(WebhookEvent.id)
        .where(col(WebhookEvent.object_id).in_(account.object_ids))
        .order_by(col(WebhookEvent.created).desc())
        .limit(MOST_EVENT_IDS)
    )
    return list(await session.exec(query))


def audit_entry_of(row: AuditEntry) -> Entry:
    return Entry(
        at=row.at,
        id=row.id,
        kind="audit",
        title=action_name(row.action),
        notes=(f"by {row.actor}", subject_name(row.subject, row.action)),
        changes=diff.of_audit(row.before, row.after),
    )


def override_entry(row: Override) -> Entry:
    until = "" if row.expires_at is None else f" until {day(row.expires_at)}"
    value = "" if row.value is None else f" {row.value}"
    return Entry(
        at=row.created_at,
        id=f"override:{row.feature}",
        kind="override",
        title=f"Override of {display_name(row.feature)}: {row.op}{value}{until}",
        notes=(row.feature, f"by {row.actor or 'unknown'}", row.reason or "no reason given"),
    )
