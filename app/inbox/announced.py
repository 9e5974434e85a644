"""Announces each fact once: two event objects, a snapshot and its thin twin, a catch-up, a replay are one.

A fact is what happened, such as the first failed attempt to collect an invoice. A row of the outbox without a
receiver notes that it was announced; it is written in the transaction of the event, and never pruned. Only
events that announce a fact cost a query: renewals and changes do not.
"""

from collections.abc import Iterable

from ..db import Batch, Row
from ..db.models import OpenedSession, OutboxEntry, OutboxState
from ..reactions.outbox import entry_of
from ..signals import checkout_expired
from ..stripe.events import StripeEvent
from ..stripe.objects import as_text
from .unit_of_work import UnitOfWork

UNRECORDED = frozenset(
    {"charge", "checkout.session", "dispute", "invoice_payment", "radar.early_fraud_warning", "refund"}
)
"""Objects without a record here: there is no row whose lock keeps two processes from one fact at once."""


def unrecorded_objects(events: Iterable[StripeEvent]) -> list[str]:
    """The names of the locks under which facts about objects without a record are announced."""
    return [
        f"{kind}:{event.object_id}"
        for event in events
        if (kind := as_text(event.object.get("object"))) in UNRECORDED and event.object_id
    ]


async def drop_announced(batch: Batch, unit_of_work: UnitOfWork) -> None:
    """Drop the reactions about facts that were announced before, or that are no news."""
    if not unit_of_work.facts:
        return
    facts = {
        each.id: unit_of_work.facts[each.id]
        for each in unit_of_work.reactions
        if each.id in unit_of_work.facts
    }
    known = {
        fact
        for fact, events in facts.items()
        if await _was_announced(batch, fact, events) or await _is_superseded(batch, fact)
    }
    unit_of_work.reactions[:] = [each for each in unit_of_work.reactions if each.id not in known]


def notes(unit_of_work: UnitOfWork) -> list[Row]:
    """The rows that note which facts are announced now."""
    done = {"state": OutboxState.DONE, "done_at": unit_of_work.now}
    return [
        entry_of(reaction, "", unit_of_work.now) | done
        for reaction in unit_of_work.reactions
        if reaction.id in unit_of_work.facts
    ]


async def _is_superseded(batch: Batch, fact: str) -> bool:
    """Whether it is a checkout session that the service itself has had expired: nobody abandoned that."""
    signal, _, session_id = fact.partition(":")
    if signal != checkout_expired.name:
        return False
    table = OpenedSession.__tablename__
    query = f"SELECT id FROM {table} WHERE id = ? AND superseded_at IS NOT NULL"  # noqa: S608 # a name of ours
    return bool(await batch.fetch(query, session_id))


async def _was_announced(batch: Batch, fact: str, events: Iterable[str]) -> bool:
    """Whether the fact is noted; an older release named its reactions after the signal and the event."""
    table = OutboxEntry.__tablename__
    if await batch.fetch(f"SELECT id FROM {table} WHERE id = ?", f"{fact}:"):  # noqa: S608 # a name of ours
        return True
    signal, _, _ = fact.partition(":")
    for event in events:
        # Every id that begins with `signal:event:`, by the primary key; ";" follows ":".
        query = f"SELECT id FROM {table} WHERE id >= ? AND id < ? LIMIT 1"  # noqa: S608 # a name of ours
        if await batch.fetch(query, f"{signal}:{event}:", f"{signal}:{event};"):
            return True
    return False
