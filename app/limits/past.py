"""What a user had at a moment in the past: computed from the records, overrides and catalogue of then.

Triggers keep what a record was before each change (`RecordHistory`), so the state at a moment is the one that
the first later change replaced; else the record as it is. Overrides are in the audit trail. What is not known
is said, never guessed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Boolean, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.audit import has_action
from ..db.models import (
    AuditEntry,
    Customer,
    Invoice,
    Override,
    Price,
    Purchase,
    Record,
    RecordHistory,
    Subscription,
    table_of,
)
from ..db.models import Grant as StoredGrant
from ..entitlements import Entitlements, Grant, OverrideRecord, entitle
from ..entitlements.purchases import grants_of
from ..plans import KnownPrice
from .catalogues import CatalogueInForce, catalogue_at, known_since, unknown_at
from .grants import as_grant, lasting
from .prices import price_ids_of

AT_ONCE = 5000
Then = Mapping[str, Any]
"""Records as they were, by their ids."""
KINDS: dict[str, type[Record]] = {
    "subscription": Subscription,
    "customer": Customer,
    "invoice": Invoice,
    "price": Price,
    "purchase": Purchase,
}


@dataclass(frozen=True, slots=True)
class PastEntitlements:
    """What a user had at a moment. Times are Unix seconds."""

    entitlements: Entitlements
    """Without usage: of that only closed periods are kept."""
    catalogue: CatalogueInForce
    known_since: int
    object_ids: tuple[str, ...]
    """Those at Stripe that it was computed from: customers, subscriptions, invoices, sessions, charges."""
    purchase_ids: tuple[str, ...]


async def load_past(connection: AsyncConnection, user_id: str, at: int) -> PastEntitlements:
    """What the user had at `at` (Unix seconds), from what had been processed by then.

    Raises:
        NotFound: when that is not known any more, or not yet, saying since when it is.
        ConfigurationError: when this release cannot read the catalogue of then.
    """
    in_force = await catalogue_at(connection, at)
    past = _Past(connection, at)
    customers = await past.customers_of(user_id)
    subscriptions = await past.subscriptions_of(user_id, customers)
    paying = {each.customer_id for each in subscriptions.values() if each.customer_id} - customers.keys()
    payers = await past.records("customer", paying)
    invoices = await past.open_invoices(subscriptions)
    known = await past.prices(price_ids_of(subscriptions.values()))
    overrides = await past.overrides_of(user_id)
    purchases = await past.purchases_of(user_id, customers)
    entitlements = entitle(
        user_id,
        subscriptions.values(),
        invoices.values(),
        [*customers.values(), *payers.values()],
        overrides,
        in_force.catalogue,
        at,
        known=known,
        grants=await past.grants_of(user_id, purchases.values()),
    )
    since = await known_since(connection)
    objects = (*customers, *payers, *subscriptions, *invoices, *objects_of(purchases.values()))
    known_back_to = in_force.since if since is None else since
    return PastEntitlements(entitlements, in_force, known_back_to, objects, tuple(purchases))


async def owned_later(connection: AsyncConnection, user_id: str, at: int) -> bool:
    """Whether anything was the user's at a moment, or was given to somebody else since."""
    table = table_of(RecordHistory)
    query = select(table.c.record_id).where(table.c.former_owner == user_id, table.c.valid_until > at)
    return await connection.scalar(query.limit(1)) is not None


class _Past:
    """The rows as they were at one moment."""

    def __init__(self, connection: AsyncConnection, at: int) -> None:
        self._connection, self._at = connection, at

    async def customers_of(self, user_id: str) -> Then:
        """The customers that were linked to the user."""
        ids = await self._ids(select(col(Customer.id)).where(col(Customer.user_id) == user_id))
        ids |= await self._formerly("customer", {user_id})
        found = await self.records("customer", ids)
        return {id: row for id, row in found.items() if row.user_id == user_id}

    async def subscriptions_of(self, user_id: str, customers: Then) -> Then:
        """The user's own subscriptions: see `db.ownership.subscriptions_of`."""
        ids = await self._ids(select(col(Subscription.id)).where(col(Subscription.user_id) == user_id))
        for some in _steps(customers):
            theirs = select(col(Subscription.id)).where(col(Subscription.customer_id).in_(some))
            ids |= await self._ids(theirs)
        ids |= await self._formerly("subscription", {user_id})
        found = await self.records("subscription", ids)
        return {
            id: row
            for id, row in found.items()
            if row.user_id == user_id or (row.links is None and row.customer_id in customers)
        }

    async def open_invoices(self, subscriptions: Then) -> Then:
        """The invoices of these subscriptions that were open."""
        ids: set[str] = set()
        for some in _steps(subscriptions):
            ids |= await self._ids(select(col(Invoice.id)).where(col(Invoice.subscription_id).in_(some)))
            ids |= await self._formerly("invoice", some)
        found = await self.records("invoice", ids)
        return {
            id: row
            for id, row in found.items()
            if row.status == "open" and row.subscription_id in subscriptions
        }

    async def prices(self, ids: Collection[str]) -> dict[str, KnownPrice]:
        """What had been seen of these prices."""
        found = await self.records("price", ids)
        return {id: KnownPrice.of(row.product_id, row.lookup_keys) for id, row in found.items()}

    async def records(self, kind: str, ids: Collection[str]) -> Then:
        """The records with these ids, as they were; those that were not there yet are left out.

        Raises:
            NotFound: when what one of them was is not known.
        """
        found: dict[str, Any] = {}
        for some in _steps(ids):
            replaced = await self._replaced(kind, some)
            model = KINDS[kind]
            unchanged = set(some) - replaced.keys()
            rows = await self._connection.execute(select(table_of(model)).where(col(model.id).in_(unchanged)))
            found |= {row.id: _row(model, dict(row._mapping)) for row in rows}
            found |= {id: _row(model, record) for id, record in replaced.items()}
        found = {id: row for id, row in found.items() if (row.recorded_at or 0) <= self._at}
        later = [row.updated_at for row in found.values() if row.updated_at > self._at]
        if later:
            raise unknown_at(self._at, max(later))
        return found

    async def _replaced(self, kind: str, ids: Collection[str]) -> dict[str, Any]:
        """Of those that have changed since: what the first later change replaced."""
        table = table_of(RecordHistory)
        order = func.row_number().over(
            partition_by=table.c.record_id, order_by=(table.c.valid_until, table.c.version)
        )
        later = (
            select(table.c.record_id, table.c.record, order.label("place"))
            .where(table.c.kind == kind, table.c.record_id.in_(ids), table.c.valid_until > self._at)
            .subquery()
        )
        rows = await self._connection.execute(select(later).where(later.c.place == 1))
        return {row.record_id: row.record for row in rows}

    async def _formerly(self, kind: str, owners: Collection[str]) -> set[str]:
        """The records that a later change took from these owners."""
        table = table_of(RecordHistory)
        return await self._ids(
            select(table.c.record_id).where(
                table.c.kind == kind, table.c.former_owner.in_(owners), table.c.valid_until > self._at
            )
        )

    async def _ids(self, query: Select[Any]) -> set[str]:
        return set(await self._connection.scalars(query))

    async def grants_of(self, user_id: str, purchases: Iterable[Any]) -> list[Grant]:
        """The grants that there were, none ended that was ended since. What was drawn is not known."""
        rows = await self._connection.execute(
            select(table_of(StoredGrant)).where(
                col(StoredGrant.user_id) == user_id, col(StoredGrant.created_at) <= self._at
            )
        )
        given = [as_grant(self._unended(row)) for row in rows]
        return lasting([*given, *(grant for row in purchases for grant in grants_of(row))], self._at)

    async def purchases_of(self, user_id: str, customers: Then) -> Then:
        """What the user had bought, as it was known then: see `grants.purchases_of`."""
        ids = await self._ids(select(col(Purchase.id)).where(col(Purchase.user_id) == user_id))
        for some in _steps(customers):
            ids |= await self._ids(select(col(Purchase.id)).where(col(Purchase.customer_id).in_(some)))
        ids |= await self._formerly("purchase", {user_id})
        found = await self.records("purchase", ids)
        return {
            id: row
            for id, row in found.items()
            if row.user_id == user_id or (row.user_id is None and row.customer_id in customers)
        }

    def _unended(self, row: Any) -> Any:
        ended_at = row.ended_at if row.ended_at is not None and row.ended_at <= self._at else None
        return SimpleNamespace(**(dict(row._mapping) | {"ended_at": ended_at}))

    async def overrides_of(self, user_id: str) -> list[OverrideRecord]:
        """The overrides of the user, those past their time included, by the audit trail.

        Raises:
            NotFound: when there is one of which the trail does not say what it was then.
        """
        current = await self._connection.execute(
            select(table_of(Override)).where(col(Override.user_id) == user_id)
        )
        then: dict[str, Any] = {row.feature: row for row in current}
        changed = set()
        for entry in await self._connection.execute(self._later_overrides(user_id)):
            feature = (entry.before or entry.after)["feature"]
            then[feature] = None if entry.before is None else SimpleNamespace(**entry.before)
            changed.add(feature)
        later = [
            row.created_at
            for feature, row in then.items()
            if feature not in changed and row.created_at > self._at
        ]
        if later:
            raise unknown_at(self._at, max(later))
        return [row for row in then.values() if row is not None]

    def _later_overrides(self, user_id: str) -> Select[Any]:
        """The changes of overrides since, the latest first: the last one seen says what was before it."""
        table = table_of(AuditEntry)
        is_override = has_action("override.set") | has_action("override.ended")
        query = select(table).where(table.c.subject == user_id, table.c.at > self._at, is_override)
        return query.order_by(table.c.at.desc(), table.c.id.desc())


def objects_of(purchases: Iterable[Any]) -> list[str]:
    """The ids of the checkout sessions, charges, refunds and disputes of these purchases."""
    found = [[each.session_id, *each.refunds, *each.disputes] for each in purchases]
    return [id for ids in found for id in ids if id is not None]


def _row(model: type[Record], record: Mapping[str, Any]) -> Any:
    """A record as it was kept. SQLite keeps booleans as numbers."""
    columns = table_of(model).columns
    values = {
        name: bool(value) if value is not None and isinstance(columns[name].type, Boolean) else value
        for name, value in record.items()
        if name not in NOT_KEPT
    }
    return SimpleNamespace(**values, **NOT_KEPT)


NOT_KEPT: Mapping[str, Any] = {"hosted_invoice_url": None}
"""What says who somebody is stays out of the history."""


def _steps(ids: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(ids)
    return [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)]
