"""Announces each refund of a charge once, also where it is learned late that an earlier one had failed.

A charge says how much was refunded in all. Each refund makes that more, and one that fails makes it less. So
a later one can reach the same total, and the failure between both distinguishes them. As long as the failure
is not known, the events of both tell one fact. When it becomes known, the stored events of the charge are
looked at again, and the refund that was not announced is announced. In every order of the events there are
as many reactions as refunds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from ..db import Batch
from ..db.models import OutboxEntry
from ..errors import InvalidPayload
from ..signals import Reaction, payment_refunded
from ..stripe.events import StripeEvent, parse
from .handlers.charge import failed_charge, refund_fact, refunded_total
from .unit_of_work import UnitOfWork

REFUNDED = "charge.refunded"
EVENTS = "SELECT body FROM billing_event WHERE object_id = ? AND type = ? AND state = 'processed'"


async def load_refund_events(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Load the earlier refunds of the charges that `events` refund, or of which a refund failed."""
    readable = [event for event in events if not event.problem]
    refunded = {event.object_id for event in readable if event.type == REFUNDED}
    for charge_id in sorted(filter(None, refunded | set(map(failed_charge, readable)))):
        for row in await batch.fetch(EVENTS, charge_id, REFUNDED):
            with suppress(InvalidPayload):
                stored = parse(row["body"].encode())
                unit_of_work.stored_refunds[stored.id] = stored


async def name_refunds(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Name the reactions about refunds after these, and drop those about a refund that was announced.

    `events`: those of the batch that were applied, which say more of failures together than one by one.
    """
    if all(reaction.signal != payment_refunded.name for reaction in unit_of_work.reactions):
        return
    known = unit_of_work.stored_refunds | {event.id: event for event in events if event.type == REFUNDED}
    names = {id: f"{payment_refunded.name}:{refund_fact(event, unit_of_work)}" for id, event in known.items()}
    named: list[Reaction] = []
    noted: dict[str, str] = {}
    for reaction in unit_of_work.reactions:
        if reaction.signal != payment_refunded.name:
            named.append(reaction)
            continue
        told_as, event = unit_of_work.facts.pop(reaction.id), known[reaction.event_id or ""]
        notes = await _notes(batch, event)
        notes |= {name: holder for name, holder in noted.items() if _has_total(name, event)}
        if not notes and event.id in unit_of_work.stored_refunds:
            continue  # nobody listened when it came
        name = _free_name(names[event.id], told_as, notes, names)
        if name is not None:
            unit_of_work.facts[name], noted[name] = told_as, event.id
            named.append(replace(reaction, id=name))
    unit_of_work.reactions[:] = named


def _free_name(
    name: str, told_as: Iterable[str], notes: Mapping[str, str], names: Mapping[str, str]
) -> str | None:
    """The name under which a refund is announced; None where it was announced before.

    `name`: its name as far as is known today. `told_as`: the events that may have announced it. `notes`:
    which event announced which name. `names`: today's names of what the events tell. A refund was announced
    under the name of an earlier one if the failure between them was not known then: the earlier one takes the
    name that this left free.
    """
    if not set(told_as).isdisjoint(notes.values()):
        return None
    todays = {noted: names.get(event, noted) for noted, event in notes.items()}
    if name in todays.values():
        return None
    for _ in todays:
        name = todays.get(name, name)
    return name if name not in todays else None


async def _notes(batch: Batch, event: StripeEvent) -> dict[str, str]:
    """Which events announced a refund that reaches the event's total, by the names of the reactions."""
    begins = f"{payment_refunded.name}:{refunded_total(event)}"
    # Every id that begins with `signal:charge:total:`, by the primary key; ";" follows ":".
    query = (
        f"SELECT id, event_id FROM {OutboxEntry.__tablename__} "  # noqa: S608 # a name of ours
        "WHERE id >= ? AND id < ? AND receiver = ''"
    )
    rows = await batch.fetch(query, f"{begins}:", f"{begins};")
    return {row["id"].removesuffix(":"): row["event_id"] or "" for row in rows}


def _has_total(name: str, event: StripeEvent) -> bool:
    return f"{name}:".startswith(f"{payment_refunded.name}:{refunded_total(event)}:")
