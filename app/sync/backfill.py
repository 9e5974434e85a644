"""Brings rows that another release wrote to today's rules, in small steps, while webhooks arrive.

A row says by which rules it was written (`follows_rules`). One that an older process wrote or changed is
reapplied: its stored events are applied once more, in a transaction of the inbox's own kind. A process that
is killed leaves rows as they were, and the next pass finds them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import structlog
from sqlalchemy import select as sql_select
from sqlmodel import col, func, select

from ..db import Batch, Database
from ..db.keyset import in_key_order
from ..db.models import Customer, Invoice, Subscription, WebhookEvent, follows_rules, table_of
from ..db.outdated import ANY_OUTDATED, RULED_MODELS, RuledModel, is_outdated
from ..db.skipping import skipped_on_error
from ..inbox.delivery import Delivery
from ..inbox.dependents import load_dependents
from ..inbox.erased import Erased
from ..inbox.kinds import KINDS, make_row
from ..inbox.reapply import (
    EVENTS_OF,
    MAX_EVENTS,
    OF_INVOICES,
    SESSIONS,
    reapply,
    reapply_session,
    stored_events,
)
from ..inbox.unit_of_work import UnitOfWork
from ..plans import Catalogue
from ..signals import users_changed
from . import leases

log = structlog.get_logger(__name__)

JOB = "rules"
EVERY_SECONDS = 300
"""How often is looked for rows that an older process has written since."""
PAGE = 200
REST = 3
"""How many times as long as a row took is rested then: the webhooks come first."""
ORDER = RULED_MODELS
WINDOW = 5000
"""How many events are looked through at once for checkout sessions, of which there is no index."""
INVOICES_OF = "SELECT * FROM billing_invoice WHERE subscription_id = ?"


async def count_outdated(database: Database) -> int:
    """How many rows wait to be reapplied."""
    async with database.reading() as session:
        counts = [
            (await session.exec(select(func.count()).select_from(model).where(is_outdated(model)))).one()
            for model in ORDER
        ]
    return sum(counts)


class Backfill:
    """Reapplies the rows that do not follow today's rules. `clock` gives Unix seconds; `link_keys` are the
    metadata keys that name a user; `events` is where the stored events are, if elsewhere."""

    def __init__(
        self,
        database: Database,
        *,
        catalogue: Catalogue,
        clock: Callable[[], float],
        link_keys: Sequence[str] = ("user_id",),
        events: Database | None = None,
    ) -> None:
        self._database = database
        self._events = events or database
        self._link_keys = link_keys
        self._catalogue = catalogue
        self._clock = clock
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Look for outdated rows every few minutes, until stopped. A database that is down is waited for."""
        try:
            while not self._stopped.is_set():
                try:
                    await self.reapply_all(rest=True)
                except Exception as error:
                    log.warning("job_failed", job=JOB, error=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), EVERY_SECONDS)
        finally:
            self._stopped = asyncio.Event()  # it may run again, on another loop

    def stop(self) -> None:
        """End after the row that is under way."""
        self._stopped.set()

    async def reapply_all(self, *, rest: bool = False) -> int:
        """Reapply every outdated row; how many: 0 while another process does it.

        `rest`: leave the database to others for most of the time.
        """
        if not await self._any_outdated() or not await leases.acquire(
            self._database, JOB, int(self._clock())
        ):
            return 0
        async with leases.released_after(self._database, JOB):
            first = [await self._outdated(model, "") for model in ORDER]
            done = 0
            if first[0] or first[1]:
                await self._reapply_sessions(rest)
            for model, ids in zip(ORDER, first, strict=True):
                done += await self._reapply_kind(model, ids, rest)
            await leases.update_job(
                self._database, JOB, finished_at=int(self._clock()), result={"reapplied": done}
            )
        log.info("rules_reapplied", rows=done)
        return done

    async def _reapply_sessions(self, rest: bool) -> None:
        """Give the claims of the stored checkout sessions to outdated rows, before those are reapplied: an
        older release kept one claim with a customer, whichever came last."""
        place = (-1, "")
        while not self._stopped.is_set():
            began = time.perf_counter()
            window = await read_places(self._events, place)
            found = [id for _, id, type_ in window if type_.startswith(SESSIONS)]
            for delivery in await self._outdated_sessions(found):
                with self._skipped_on_error(delivery.event.id):
                    await self._reapply_session(delivery)
            if len(window) < WINDOW:
                return
            place = window[-1][:2]
            await leases.acquire(self._database, JOB, int(self._clock()))
            if rest:
                await asyncio.sleep((time.perf_counter() - began) * REST)

    async def _outdated_sessions(self, ids: Sequence[str]) -> list[Delivery]:
        """Of these events those that name an outdated row."""
        sessions = await self._read_sessions(ids)
        outdated: dict[str, set[str]] = {}
        for kind, model in (("customer", Customer), ("subscription", Subscription)):
            named = {id for each in sessions for id in each.event.names[kind]}
            query = select(model.id).where(col(model.id).in_(named), is_outdated(model))
            async with self._database.reading() as session:
                outdated[kind] = set(await session.exec(query)) if named else set()
        return [
            each for each in sessions if any(each.event.names[kind] & outdated[kind] for kind in outdated)
        ]

    async def _read_sessions(self, ids: Sequence[str]) -> list[Delivery]:
        """Those of these events that are checkout sessions which were applied."""
        query = select(WebhookEvent).where(
            col(WebhookEvent.id).in_(ids),
            col(WebhookEvent.type).startswith(SESSIONS),
            col(WebhookEvent.state) == "processed",
        )
        async with self._events.reading() as session:
            return stored_events([row.model_dump() for row in await session.exec(query)])

    async def _reapply_session(self, delivery: Delivery) -> None:
        named = {kind: set(delivery.event.names[kind]) for kind in KINDS}
        async with self._database.batch() as batch:
            await batch.begin([f"{kind}:{each}" for kind, ids in named.items() for each in ids])
            unit_of_work = await self._load(batch, named)
            await load_dependents(batch, unit_of_work, [delivery.event])
            reapply_session(unit_of_work, delivery)
            users = await _write(batch, unit_of_work)
        if users:
            users_changed.send(self, user_ids=users)

    async def _reapply_kind(self, model: RuledModel, ids: Sequence[str], rest: bool) -> int:
        done = 0
        while ids and not self._stopped.is_set():
            for id in ids:
                if self._stopped.is_set():
                    return done
                began = time.perf_counter()
                with self._skipped_on_error(id):
                    done += await self.reapply_row(model, id)
                if rest:
                    await asyncio.sleep((time.perf_counter() - began) * REST)
            await leases.renew(self._database, JOB, int(self._clock()))
            ids = await self._outdated(model, ids[-1]) if len(ids) == PAGE else []
        return done

    def _skipped_on_error(self, id: str) -> AbstractContextManager[None]:
        """The next pass tries it again."""
        return skipped_on_error("not_reapplied", self._database, self._events, id=id)

    async def _any_outdated(self) -> bool:
        async with self._database.reading() as session:
            connection = await session.connection()
            return bool((await connection.execute(ANY_OUTDATED)).scalar_one())

    async def _outdated(self, model: RuledModel, after: str) -> list[str]:
        query = in_key_order(select(model.id).where(is_outdated(model)), [col(model.id)], [after])
        async with self._database.reading() as session:
            return list(await session.exec(query.limit(PAGE)))

    async def reapply_row(self, model: RuledModel, id: str) -> bool:
        """Reapply one row; False when that has been done, or an event came meanwhile."""
        named, sessions = await self._named(model, id)
        async with self._database.batch() as batch:
            await batch.begin([f"{kind}:{each}" for kind, ids in named.items() for each in ids])
            unit_of_work = await self._load(batch, named)
            record = unit_of_work.find(model, id)
            stored = [*stored_events(await self._events_in(batch, id)), *sessions]
            if record is None or follows_rules(record) or not _within(stored, named):
                return False
            await load_dependents(batch, unit_of_work, [delivery.event for delivery in stored])
            if isinstance(record, Customer):
                theirs = await batch.load_by(table_of(Subscription), "customer_id", {id})
                unit_of_work.fill_missing(Subscription, theirs)
            invoices: list[Invoice] = []
            told: list[Delivery] = []
            if model is Subscription:
                invoices = [make_row(Invoice, row) for row in await batch.fetch(INVOICES_OF, id)]
                told = stored_events(await self._events_of_invoices(batch, id))
            reapply(unit_of_work, record, stored, invoices, told)
            users = await _write(batch, unit_of_work)
        if users:
            users_changed.send(self, user_ids=users)
        return True

    async def _named(self, model: RuledModel, id: str) -> tuple[dict[str, set[str]], list[Delivery]]:
        """The ids of all rows that the record's events may touch, to be locked before they are loaded; and
        the checkout session whose claim an older release kept as a customer's own."""
        named: dict[str, set[str]] = {kind: {id} if each is model else set() for kind, each in KINDS.items()}
        async with self._database.reading() as session:
            record = await session.get(model, id)
        if isinstance(record, Subscription | Invoice) and record.customer_id is not None:
            named["customer"].add(record.customer_id)
        links = record.links if isinstance(record, Customer) else {}
        sessions = await self._read_sessions([links["metadata"]["event_id"]] if "metadata" in links else [])
        for delivery in [*stored_events(await self._events_of(id)), *sessions]:
            for kind, ids in delivery.event.names.items():
                named[kind] |= ids
        return named, sessions

    async def _events_of(self, id: str) -> Sequence[Mapping[str, Any]]:
        """The stored events of a record, before anything is locked."""
        return await read_events(self._database, id)

    async def _events_in(self, batch: Batch, id: str) -> Sequence[Mapping[str, Any]]:
        """The same, once the record is locked."""
        return await batch.fetch(EVENTS_OF, id, MAX_EVENTS)

    async def _events_of_invoices(self, batch: Batch, id: str) -> Sequence[Mapping[str, Any]]:
        """The stored events of a subscription's invoices, once it is locked."""
        return await batch.fetch(OF_INVOICES, id, MAX_EVENTS)

    async def _load(self, batch: Batch, named: dict[str, set[str]]) -> UnitOfWork:
        ids = {table_of(model): named[kind] for kind, model in KINDS.items()}
        loaded, _ = await batch.load(ids, known=(table_of(WebhookEvent), ()))
        unit_of_work = UnitOfWork(int(self._clock()), self._catalogue, named, self._link_keys)
        for model in KINDS.values():
            unit_of_work.fill(model, loaded[table_of(model)])
        return unit_of_work


async def read_events(database: Database, object_id: str) -> list[dict[str, Any]]:
    """The columns of the object's events that were applied, the latest first."""
    query = (
        select(WebhookEvent)
        .where(col(WebhookEvent.object_id) == object_id, col(WebhookEvent.state) == "processed")
        .where(col(WebhookEvent.source) != "internal")
        .order_by(col(WebhookEvent.created).desc(), col(WebhookEvent.id).desc())
        .limit(MAX_EVENTS)
    )
    async with database.reading() as session:
        return [row.model_dump() for row in await session.exec(query)]


async def read_invoice_events(database: Database, subscription_id: str) -> list[dict[str, Any]]:
    """The columns of the events of a subscription's invoices that were applied, the latest first."""
    invoices = select(Invoice.id).where(col(Invoice.subscription_id) == subscription_id)
    query = (
        select(WebhookEvent)
        .where(col(WebhookEvent.object_id).in_(invoices), col(WebhookEvent.state) == "processed")
        .where(col(WebhookEvent.type).startswith("invoice."))
        .order_by(col(WebhookEvent.created).desc(), col(WebhookEvent.id).desc())
        .limit(MAX_EVENTS)
    )
    async with database.reading() as session:
        return [row.model_dump() for row in await session.exec(query)]


async def read_places(database: Database, after: tuple[int, str]) -> list[tuple[int, str, str]]:
    """When the next events were received, their ids and types, in that order."""
    place = (col(WebhookEvent.received_at), col(WebhookEvent.id))
    events = sql_select(*place, col(WebhookEvent.type))
    async with database.reading() as session:
        rows = await (await session.connection()).execute(in_key_order(events, place, after).limit(WINDOW))
        return [(row.received_at, row.id, row.type) for row in rows]


async def _write(batch: Batch, unit_of_work: UnitOfWork) -> set[str]:
    """Write what changed; the users whom that may touch."""
    Erased(unit_of_work).forget()
    users = unit_of_work.users()
    rows: dict[Any, list[dict[str, Any]]] = {table_of(model): [] for model in KINDS.values()}
    for changed, values in unit_of_work.written():
        rows[table_of(changed)].append(values)
    await batch.write(rows, users)
    return users


def _within(stored: Sequence[Delivery], named: dict[str, set[str]]) -> bool:
    """Whether all that the events name is locked: one may have come meanwhile."""
    return all(ids <= named[kind] for each in stored for kind, ids in each.event.names.items())
