"""What today's rules change for whom, before a process that follows them writes anything.

The records are copied into a database of its own, a file that is removed in the end. There the answers are
computed twice by the code that serves them: from the rows as they are, and from the rows reapplied. Of the
live database everything is read, and nothing is written.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, select, update

from ..db import Batch, Database, open_database
from ..db.keyset import in_key_order
from ..db.migrations import migrate
from ..db.models import (
    Customer,
    Invoice,
    Override,
    Price,
    Subscription,
    follows_rules,
    table_of,
)
from ..entitlements import Entitlements
from ..inbox.kinds import make_row
from ..limits import Limits
from ..plans import Catalogue, Value
from ..sync.backfill import Backfill, read_events, read_invoice_events

Json = dict[str, Any]
OnProgress = Callable[[str, int], None]
"""Called with what is being done and with how many of it are done."""

PAGE = 500
COPIED = tuple(table_of(model) for model in (Customer, Price, Subscription, Invoice, Override))
WHY: Mapping[str, str] = {
    "user_id": "it belongs to {now}",
    "plan_id": "its main item is {now}",
    "quantity": "the quantity of its main item is {now}",
    "expiry_date": "its term ends at {now}",
    "paid_through": "it is paid through {now}",
    "past_due_since": "grace counts from the step into past_due, at {now}",
    "first_payment_failed_at": "its first payment failed at {now}, and nothing was paid since",
    "pause_cause": "Stripe says why it is paused: {now}",
}
"""What a column that differs means. Times are Unix seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user has, as far as it is compared."""

    plan: str | None
    status: str | None
    access: str
    grace_ends_at: int | None
    limits: Mapping[str, Value]

    @classmethod
    def of(cls, entitlements: Entitlements) -> "Answer":
        limits = {key: each.value for key, each in entitlements.features.items()}
        return cls(
            entitlements.plan,
            entitlements.status,
            entitlements.access,
            entitlements.grace_ends_at,
            limits,
        )

    def differences(self, after: "Answer") -> Iterator[tuple[str, Any, Any]]:
        """Each member that differs, with its two values; limits by the name of their feature."""
        for name in ("plan", "status", "access", "grace_ends_at"):
            if getattr(self, name) != getattr(after, name):
                yield name, getattr(self, name), getattr(after, name)
        for feature, value in self.limits.items():
            if value != after.limits[feature]:
                yield feature, value, after.limits[feature]


@dataclass(frozen=True, slots=True)
class UserChange:
    """A user whose answers today's rules change: what becomes of what, and why."""

    user_id: str
    changes: Sequence[tuple[str, Any, Any]]
    why: Sequence[str]

    def as_json(self) -> Json:
        changes = {name: {"before": was, "after": now} for name, was, now in self.changes}
        return {"user_id": self.user_id, "changes": changes, "why": list(self.why)}


@dataclass(slots=True)
class Comparison:
    """How many users were compared, and those whose answers differ."""

    compared: int = 0
    changed: list[UserChange] = field(default_factory=list)

    def as_json(self) -> Json:
        return {"compared": self.compared, "changed": [each.as_json() for each in self.changed]}


async def compare_rules(
    live: Database,
    catalogue: Catalogue,
    now: int,
    *,
    link_keys: Sequence[str] = ("user_id",),
    on_progress: OnProgress = lambda what, count: None,
) -> Comparison:
    """Compare every user's plan, access and limits at `now` (Unix seconds) by both rules.

    `link_keys` are the metadata keys that name a user.

    Raises:
        ConfigurationError: when the temporary database cannot be made.
    """
    async with _scratch_database() as scratch:
        backfill = _ScratchBackfill(live, scratch, catalogue, now, link_keys, on_progress)
        compared = _Compared(live, scratch, backfill, catalogue, now, on_progress)
        return await compared.run()


@asynccontextmanager
async def _scratch_database() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory(prefix="billing-rules-") as folder:
        url = f"sqlite:///{Path(folder, 'rules.db')}"
        await asyncio.to_thread(migrate, url)
        database = open_database(url)
        try:
            yield database
        finally:
            await database.close()


class _Compared:
    def __init__(
        self,
        live: Database,
        scratch: Database,
        backfill: Backfill,
        catalogue: Catalogue,
        now: int,
        on_progress: OnProgress,
    ) -> None:
        self._live, self._scratch, self._backfill = live, scratch, backfill
        self._catalogue, self._now = catalogue, now
        self._on_progress = on_progress

    async def run(self) -> Comparison:
        items = await self._copy()
        before, rows_before = await self._answers(), await self._subscriptions()
        await self._put_back(items)
        await self._backfill.reapply_all()
        after, rows_after = await self._answers(before), await self._subscriptions()
        why = _reasons(rows_before, rows_after, items)
        nothing = Answer.of(Limits(self._scratch, self._catalogue, self._clock).default_entitlements())
        found = Comparison(compared=len(after))
        for user_id in sorted(after):
            changes = list(before.get(user_id, nothing).differences(after[user_id]))
            if changes:
                found.changed.append(UserChange(user_id, changes, why.get(user_id, [])))
        return found

    def _clock(self) -> float:
        return self._now

    async def _copy(self) -> dict[str, list[Json]]:
        """Copy the rows; of outdated subscriptions only the items that the release before counts.

        Returns:
            The items of those subscriptions, all of them.
        """
        items: dict[str, list[Json]] = {}
        for table in COPIED:
            copied = 0
            async for page in _pages(self._live, table):
                if table is table_of(Subscription):
                    items |= self._leave_out_items(page)
                async with self._scratch.session() as session:
                    await (await session.connection()).execute(insert(table), page)
                copied += len(page)
                self._on_progress(f"rows of {table.name} copied", copied)
        return items

    def _leave_out_items(self, rows: Sequence[Json]) -> dict[str, list[Json]]:
        """Leave in outdated rows the items that counted before; all items of the rows that had more."""
        left_out: dict[str, list[Json]] = {}
        for row in rows:
            counted = _counted_before(row["items"], self._catalogue)
            if counted != row["items"] and not follows_rules(make_row(Subscription, row)):
                left_out[row["id"]], row["items"] = row["items"], counted
        return left_out

    async def _put_back(self, items: Mapping[str, list[Json]]) -> None:
        table = table_of(Subscription)
        async with self._scratch.session() as session:
            connection = await session.connection()
            for id, each in items.items():
                await connection.execute(update(table).where(table.c.id == id).values(items=each))

    async def _answers(self, also: Iterable[str] = ()) -> dict[str, Answer]:
        """The answers for every user that any record names, and for those of `also`."""
        limits = Limits(self._scratch, self._catalogue, self._clock)
        answers: dict[str, Answer] = {}
        for user_id in sorted(await self._users() | set(also)):
            answers[user_id] = Answer.of(await limits.load(user_id))
            limits.snapshots.forget(user_id)
            if len(answers) % PAGE == 0:
                self._on_progress("users answered", len(answers))
        return answers

    async def _users(self) -> set[str]:
        found: set[str] = set()
        for table in (table_of(Customer), table_of(Subscription), table_of(Override)):
            async with self._scratch.reading() as session:
                rows = await (await session.connection()).execute(select(table.c.user_id).distinct())
                found |= {row.user_id for row in rows if row.user_id is not None}
        return found

    async def _subscriptions(self) -> dict[str, Json]:
        """Of each subscription the columns that may show why, and its user."""
        subscriptions, customers = table_of(Subscription), table_of(Customer)
        columns = [subscriptions.c[name] for name in (*WHY, "links")]
        owner = subscriptions.c.customer_id == customers.c.id
        query = select(subscriptions.c.id, customers.c.user_id.label("owner"), *columns).select_from(
            subscriptions.outerjoin(customers, owner)
        )
        async with self._scratch.reading() as session:
            found = await (await session.connection()).execute(query)
            rows = {row.id: dict(row._mapping) for row in found}
        for row in rows.values():
            if row["links"] is None:  # the release before knows no claims of a subscription's own
                row["user_id"] = row["owner"]
        return rows


class _ScratchBackfill(Backfill):
    """Reapplies the copied rows, with the events of the live database."""

    def __init__(
        self,
        live: Database,
        scratch: Database,
        catalogue: Catalogue,
        now: int,
        link_keys: Sequence[str],
        on_progress: OnProgress,
    ) -> None:
        super().__init__(scratch, catalogue=catalogue, clock=lambda: now, link_keys=link_keys, events=live)
        self._live = live
        self._on_progress = on_progress
        self._read: Sequence[Json] = ()
        self._done = 0

    async def _events_of(self, id: str) -> Sequence[Json]:
        self._read = await read_events(self._live, id)
        self._done += 1
        self._on_progress("rows reapplied", self._done)
        return self._read

    async def _events_in(self, batch: Batch, id: str) -> Sequence[Json]:
        return self._read

    async def _events_of_invoices(self, batch: Batch, id: str) -> Sequence[Json]:
        return await read_invoice_events(self._live, id)


async def _pages(database: Database, table: Table) -> AsyncIterator[list[Json]]:
    """All rows, in the order of their keys; a page is one short read."""
    key, last = list(table.primary_key.columns), None
    while True:
        query = in_key_order(select(table), key, last).limit(PAGE)
        async with database.reading() as session:
            page = [dict(row._mapping) for row in await (await session.connection()).execute(query)]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = [page[-1][column.name] for column in key]


def _counted_before(items: Sequence[Json], catalogue: Catalogue) -> list[Json]:
    """The items that counted in the release before: the first with a plan's price, and all with none."""
    planned = [each for each in items if catalogue.plan_of_price(each.get("price_id")) is not None]
    main = next(iter(planned or items), None)
    return [each for each in items if each is main or not any(each is other for other in planned)]


def _reasons(
    before: Mapping[str, Json], after: Mapping[str, Json], items: Mapping[str, Sequence[Json]]
) -> dict[str, list[str]]:
    """Why, by user: what differs in their subscriptions."""
    why: dict[str, list[str]] = {}
    for id, now in after.items():
        was = before.get(id, {})
        causes = [
            text.format(now=now[name])
            for name, text in WHY.items()
            if now[name] is not None and was.get(name) != now[name]
        ]
        if id in items:
            causes.append("every item counts: " + ", ".join(str(each.get("price_id")) for each in items[id]))
        for user_id in {was.get("owner"), now.get("owner"), was.get("user_id"), now.get("user_id")} - {None}:
            why.setdefault(str(user_id), []).extend(f"{id}: {each}" for each in causes)
    return {user_id: causes for user_id, causes in why.items() if causes}
