"""The transaction of one batch: lock, load, apply, write, commit; then the signals."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import structlog
from sqlalchemy import Table

from ..concurrency import Slices
from ..db import Batch, Database, Row
from ..db.models import AuditEntry, EventState, OutboxEntry, WebhookEvent, table_of
from ..observability import metrics
from ..plans import Catalogue
from ..reactions.outbox import Outbox
from ..signals import users_changed
from ..stripe.own_account import OwnAccount
from .announced import drop_announced, notes, unrecorded_objects
from .apply import Applier
from .delivery import Delivery
from .dependents import load_dependents
from .erased import Erased
from .history import load_history, load_prices
from .kinds import KINDS, UNLOCKED, tables_of
from .outcome import Outcome, event_row
from .payers import load_buyers, load_payers
from .refund_events import load_refund_events, name_refunds
from .stored_snapshots import StoredSnapshots
from .unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

NOTHING: Mapping[str, Row] = {}
KEPT = ("body", "signature", "first_processed_at")
"""What the row of a retried event keeps, where it has it."""


class Transactions:
    """Commits batches of events. `livemode` None takes both modes; `clock` gives Unix seconds.

    `link_keys`: the metadata keys that name a user.
    """

    def __init__(
        self,
        database: Database,
        *,
        catalogue: Catalogue,
        outbox: Outbox,
        livemode: bool | None,
        clock: Callable[[], float],
        link_keys: Sequence[str] = ("user_id",),
        account: OwnAccount | None = None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._outbox = outbox
        self._applier = Applier(livemode=livemode, clock=clock, account=account)
        self._stored = StoredSnapshots()
        self._clock = clock
        self.link_keys = link_keys

    async def commit(self, deliveries: Sequence[Delivery], *, patient: bool = True) -> list[Outcome]:
        """Store and apply a batch of events in one transaction; the outcomes, in the order of the batch.

        `patient`: whether it waits for locks for as long as batches do at most.

        Raises:
            Exception: what the database raises; then nothing is stored.
        """
        named = _named(deliveries)
        async with self._database.batch() as batch:
            await batch.begin(lock_names(deliveries), patient=patient)
            loaded, known = await batch.load(tables_of(named), known=(table_of(WebhookEvent), named["event"]))
            unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, named, self.link_keys)
            for model in KINDS.values():
                unit_of_work.fill(model, loaded.get(table_of(model), ()))
            retried = await _still_leased(batch, deliveries, self._database.name)
            known -= retried.keys()
            known |= {each.event.id for each in deliveries if each.retry} - retried.keys()
            fresh = [delivery for delivery in _once(deliveries) if delivery.event.id not in known]
            handled = [delivery.event for delivery in fresh if self._applier.is_handled(delivery)]
            await load_prices(batch, unit_of_work)
            await load_history(batch, unit_of_work, handled, self._stored)
            await load_dependents(batch, unit_of_work, handled)
            await load_payers(batch, unit_of_work, handled)
            await load_buyers(batch, unit_of_work, handled)
            await load_refund_events(batch, unit_of_work, handled)
            applied = await self._apply(fresh, unit_of_work)
            await name_refunds(batch, unit_of_work, handled)
            await drop_announced(batch, unit_of_work)
            unit_of_work.audit += _audited(applied.values())
            users = unit_of_work.users()
            await batch.write(self._rows(unit_of_work, applied.values(), retried), users)
        self._count(applied.values())
        if users:
            self._send_users_changed(users)
        self._outbox.announce(unit_of_work.reactions)
        return [_outcome_of(delivery, applied.get(delivery.event.id)) for delivery in deliveries]

    async def _apply(self, fresh: Sequence[Delivery], unit_of_work: UnitOfWork) -> dict[str, Outcome]:
        """The outcomes by the events' ids. Requests that wait for nothing here go on meanwhile."""
        applied, slices = {}, Slices()
        for delivery in fresh:
            event = delivery.event
            outcome = applied[event.id] = self._applier.apply(delivery, unit_of_work)
            is_applied = outcome.state == EventState.PROCESSED and not delivery.is_internal
            if is_applied and event.object_id in unit_of_work.history:
                self._stored.note(event)
            await slices.rest()
        return applied

    async def change(
        self, named: Mapping[str, Collection[str]], change: Callable[[UnitOfWork], None]
    ) -> None:
        """Have `change` work on the records of these ids, by their kind, and write what it makes of them.

        Raises:
            Exception: what the database raises; then nothing is stored.
        """
        every = {kind: set(named.get(kind, ())) for kind in KINDS}
        async with self._database.batch() as batch:
            await batch.begin([f"{kind}:{id}" for kind, ids in every.items() for id in ids])
            loaded, _ = await batch.load(tables_of(every), known=(table_of(WebhookEvent), ()))
            unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, every, self.link_keys)
            for model in KINDS.values():
                unit_of_work.fill(model, loaded.get(table_of(model), ()))
            change(unit_of_work)
            users = unit_of_work.users()
            await batch.write(self._rows(unit_of_work, ()), users)
        if users:
            self._send_users_changed(users)
        self._outbox.announce(unit_of_work.reactions)

    async def keep_as_failed(self, delivery: Delivery, error: Exception) -> Outcome:
        """Store an event whose records the database refuses, so that it is retried.

        Raises:
            Exception: what the database raises; then nothing is stored.
        """
        unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, {})
        # The database's own words would name the row.
        refused = f"{type(error).__name__}: the database refuses the event."
        outcome = self._applier.failed(delivery, refused, unit_of_work)
        unit_of_work.audit += _audited([outcome])
        event_id = delivery.event.id
        async with self._database.batch() as batch:
            await batch.begin([f"event:{event_id}"])
            retried = await _still_leased(batch, [delivery], self._database.name)
            if delivery.retry and event_id not in retried:
                return Outcome(delivery, EventState.PROCESSED, duplicate=True)
            if not delivery.retry and await _is_finished(batch, event_id):
                return Outcome(delivery, EventState.PROCESSED, duplicate=True)
            await batch.write(self._rows(unit_of_work, [outcome], retried), ())
        self._outbox.announce(unit_of_work.reactions)
        metrics.events_finished(outcome.state, 1)
        return outcome

    def _count(self, outcomes: Collection[Outcome]) -> None:
        """Only after the commit: what is rolled back is applied again."""
        now = self._clock()
        for state, count in Counter([each.state for each in outcomes if each.rejected is None]).items():
            metrics.events_finished(state, count)
        metrics.events_applied(
            now - each.event.created
            for each in outcomes
            if each.state == EventState.PROCESSED and not each.delivery.is_internal and each.event.created
        )

    def _send_users_changed(self, users: set[str]) -> None:
        """After the commit; a receiver that raises must not hide that the events are stored."""
        for receiver in users_changed.receivers_for(self):
            try:
                receiver(self, user_ids=users)
            except Exception as error:
                log.error("receiver_failed", receiver=str(receiver), error=type(error).__name__)

    def _rows(
        self, unit_of_work: UnitOfWork, outcomes: Iterable[Outcome], retried: Mapping[str, Row] = NOTHING
    ) -> dict[Table, list[Row]]:
        """What the batch writes. `retried`: what the rows of retried events keep."""
        rows: dict[Table, list[Row]] = defaultdict(list)
        erased = Erased(unit_of_work)
        erased.forget()
        for model, values in unit_of_work.written():
            rows[table_of(model)].append(values)
        # In one order, as whoever replays them locks them: neither waits for the other in a circle.
        stored = sorted(
            (outcome for outcome in outcomes if outcome.rejected is None), key=lambda each: each.event.id
        )
        rows[table_of(WebhookEvent)] = [
            erased.reduce(
                outcome.event, event_row(outcome, unit_of_work.now) | retried.get(outcome.event.id, {})
            )
            for outcome in stored
        ]
        rows[table_of(AuditEntry)] = [entry.model_dump() for entry in unit_of_work.audit]
        rows[table_of(OutboxEntry)] = [*self._outbox.entries(unit_of_work.reactions), *notes(unit_of_work)]
        return rows


def _audited(outcomes: Iterable[Outcome]) -> list[AuditEntry]:
    """The audit entries of changes made at Stripe; they are kept even where a handler failed."""
    stored = [outcome.delivery for outcome in outcomes if outcome.rejected is None]
    return [delivery.audit for delivery in stored if delivery.audit is not None]


def lock_names(deliveries: Collection[Delivery]) -> list[str]:
    """The names under which a batch of these events locks what they may touch, such as `customer:cus_1`."""
    events = [delivery.event for delivery in deliveries]
    recorded = {
        f"{kind}:{id}"
        for event in events
        for kind, ids in event.names.items()
        if ids and kind not in UNLOCKED
        for id in ids
    }
    return [*(f"event:{event.id}" for event in events), *recorded, *unrecorded_objects(events)]


def _named(deliveries: Iterable[Delivery]) -> dict[str, set[str]]:
    """The ids of all records that the events may touch, and of the events themselves."""
    named: dict[str, set[str]] = {kind: set() for kind in ("event", *KINDS)}
    for event in (delivery.event for delivery in deliveries):
        named["event"].add(event.id)
        for kind, ids in event.names.items():
            named[kind] |= ids
    return named


def _once(deliveries: Iterable[Delivery]) -> Iterable[Delivery]:
    return {delivery.event.id: delivery for delivery in deliveries}.values()


async def _still_leased(batch: Batch, deliveries: Iterable[Delivery], dialect: str) -> dict[str, Row]:
    """What the rows of the retried events keep, by their ids, without those that are not ours any more.

    Meanwhile another process may have applied one, or have taken it when our lease had run out; somebody may
    have replayed it: whoever has it now goes on. The body stays as the row has it: it may have been erased.
    """
    leases = {each.event.id: each.leased_until for each in deliveries if each.retry}
    if not leases:
        return {}
    marks = ", ".join("?" * len(leases))
    lock = "FOR UPDATE" if dialect == "postgresql" else ""
    rows = await batch.fetch(
        f"SELECT id, next_attempt_at, body, signature, first_processed_at FROM {WebhookEvent.__tablename__} "  # noqa: S608
        f"WHERE id IN ({marks}) AND state = 'failed' ORDER BY id {lock}",
        *leases,
    )
    ours = (row for row in rows if leases[row["id"]] == row["next_attempt_at"])
    return {row["id"]: {name: row[name] for name in KEPT if row[name] is not None} for row in ours}


async def _is_finished(batch: Batch, event_id: str) -> bool:
    """Whether another process has stored and applied the event meanwhile."""
    select = f"SELECT id FROM {WebhookEvent.__tablename__} WHERE id = ?"  # noqa: S608
    return bool(await batch.fetch(f"{select} AND state IN ('processed', 'ignored')", event_id))


def _outcome_of(delivery: Delivery, applied: Outcome | None) -> Outcome:
    if applied is None:
        return Outcome(delivery, EventState.PROCESSED, duplicate=True)
    return applied if applied.delivery is delivery else Outcome(delivery, applied.state, duplicate=True)
