"""All that is stored of one user, or of a customer that no user is linked to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, literal_column, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Invoice, Override, Subscription, WebhookEvent
from ..db.ownership import Owned, owned_by, owned_of_customer
from ..entitlements import Entitlements, JudgedSubscription, entitle
from ..limits.prices import read_prices
from ..service import Service

MOST_INVOICES = 50
MOST_OBJECTS = 1000
MOST_UNSETTLED = 100
UNSETTLED = ("dead", "failed", "pending")
UNSETTLED_SCANNED = 200
"""Of the newest unfinished events, how many bodies are searched for a customer's id."""

UNSETTLED_COLUMNS = [
    getattr(WebhookEvent, name)
    for name in (
        "id",
        "type",
        "object_id",
        "state",
        "last_error",
        "received_at",
        "next_attempt_at",
    )
]


@dataclass(frozen=True, slots=True)
class Account:
    """`user_id` None: a customer that is linked to nobody. Times are Unix seconds."""

    user_id: str | None
    customers: Sequence[Customer]
    subscriptions: Sequence[Subscription]
    invoices: Sequence[Invoice]
    """The latest."""
    overrides: Sequence[Override]
    """Those past their time included."""
    entitlements: Entitlements
    unfinished: Sequence[Row[Any]]
    """Its events that are pending, failed or dead."""
    object_ids: Sequence[str]
    """Of everything here that events may speak of."""
    now: int

    @property
    def name(self) -> str:
        return self.user_id or (self.customers[0].id if self.customers else "")

    @property
    def subjects(self) -> list[str]:
        """What audit entries may be about."""
        return [*([self.user_id] if self.user_id else []), *self.object_ids]

    @property
    def is_known(self) -> bool:
        return bool(self.customers or self.overrides or self.entitlements.usage)

    @property
    def livemode(self) -> bool | None:
        return next((each.livemode for each in self.customers if each.livemode is not None), None)

    def judged(self, subscription_id: str) -> JudgedSubscription | None:
        found = (each for each in self.entitlements.subscriptions if each.id == subscription_id)
        return next(found, None)

    def record(self, subscription_id: str) -> Subscription | None:
        return next((each for each in self.subscriptions if each.id == subscription_id), None)


async def load_account(
    service: Service, session: AsyncSession, *, user_id: str | None = None, customer_id: str | None = None
) -> Account:
    """In a fixed number of queries, each by an index."""
    now = int(service.clock())
    owned = await _owned(session, user_id, customer_id)
    customers = owned.all_customers[:MOST_OBJECTS]
    ids = [customer.id for customer in customers]
    subscriptions = sorted(owned.subscriptions, key=lambda row: (-(row.start_date or 0), row.id))
    subscriptions = subscriptions[:MOST_OBJECTS]
    invoices = await _all(session, Invoice, owned.invoices(), col(Invoice.created).desc(), MOST_OBJECTS)
    overrides = await _all(session, Override, col(Override.user_id) == user_id, col(Override.feature))
    if user_id is not None:
        connection = await session.connection()
        made = (await service.limits.snapshots.read(connection, user_id)).entitlements
    else:
        known = await read_prices(await session.connection(), subscriptions)
        catalogue = service.limits.catalogue
        made = entitle("", subscriptions, invoices, customers, [], catalogue, now, known=known)
    object_ids = [*ids, *(row.id for row in subscriptions), *(row.id for row in invoices)]
    object_ids += await linking_objects(session, customers, subscriptions)
    unfinished = await unfinished_events(session, ids, object_ids)
    strangers = {row.object_id for row in unfinished if row.object_id} - set(object_ids)
    return Account(
        user_id=user_id,
        customers=customers,
        subscriptions=subscriptions,
        invoices=invoices[:MOST_INVOICES],
        overrides=overrides,
        entitlements=made,
        unfinished=unfinished,
        object_ids=[*dict.fromkeys(object_ids), *sorted(strangers)],
        now=now,
    )


async def _owned(session: AsyncSession, user_id: str | None, customer_id: str | None) -> Owned:
    if user_id is not None:
        return await owned_by(session, user_id)
    customer = await session.get(Customer, customer_id) if customer_id is not None else None
    return await owned_of_customer(session, customer) if customer is not None else Owned(None, [], [], [])


async def linking_objects(
    session: AsyncSession, customers: Sequence[Customer], subscriptions: Sequence[Subscription]
) -> set[str]:
    """The checkout sessions that named the user: nothing else here names them."""
    rows: list[Customer | Subscription] = [*customers, *subscriptions]
    claims = [claim for row in rows for claim in (row.links or {}).values() if isinstance(claim, dict)]
    events = {claim["event_id"] for claim in claims}
    query = select(WebhookEvent.object_id).where(
        col(WebhookEvent.id).in_(events), col(WebhookEvent.type).startswith("checkout.session.")
    )
    return {object_id for object_id in await session.exec(query) if object_id is not None}


async def unfinished_events(
    session: AsyncSession, customers: Sequence[str], object_ids: Sequence[str]
) -> list[Row[Any]]:
    """Those of these objects, and those whose body names a customer: a subscription that no event has yet
    made known is found by its customer alone."""
    if not customers:
        return []
    connection = await session.connection()
    own = select(*UNSETTLED_COLUMNS).where(
        col(WebhookEvent.state).in_(UNSETTLED), col(WebhookEvent.object_id).in_(object_ids)
    )
    found = {row.id: row for row in await connection.execute(own.limit(MOST_UNSETTLED))}
    for state in UNSETTLED:
        query = select(*UNSETTLED_COLUMNS).where(col(WebhookEvent.id).in_(_naming(state, customers[:20])))
        found |= {row.id: row for row in await connection.execute(query.limit(MOST_UNSETTLED))}
    return sorted(found.values(), key=lambda row: (row.received_at, row.id), reverse=True)


def _naming(state: str, customers: Sequence[str]) -> Any:
    """The ids of the newest events of a state whose body names one of the customers."""
    newest = (
        select(WebhookEvent.id, WebhookEvent.body)
        # Written out, not bound: a partial index is used only where its condition is seen to hold.
        .where(col(WebhookEvent.state) == literal_column(f"'{state}'"))
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(UNSETTLED_SCANNED)
        .subquery()
    )
    named = (newest.c.body.contains(f'"{customer}"', autoescape=True) for customer in customers)
    return select(newest.c.id).where(or_(*named))


async def _all(
    session: AsyncSession, model: Any, condition: Any, order: Any, limit: int = MOST_OBJECTS
) -> list[Any]:
    return list(await session.exec(select(model).where(condition).order_by(order).limit(limit)))
