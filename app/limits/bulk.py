"""Read what many users' entitlements are made of, a page of users at a time.

`loading` reads one user for an answer; this reads all of them for a comparison. A page costs some queries,
however many users it has, and no page is remembered, so memory does not grow with the number of users.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Row, Select, and_, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db import Database
from ..db.models import Customer, Invoice, Override, Purchase, Subscription, Usage, User, table_of
from ..db.models import Grant as StoredGrant
from ..entitlements import CustomerRecord, Grant, InvoiceRecord, OverrideRecord, SubscriptionRecord
from ..entitlements.purchases import grants_of
from ..plans import KnownPrice
from .grants import as_grant
from .loading import SUBSCRIPTION_COLUMNS
from .prices import known_prices, price_ids_of

PAGE = 1000
AT_ONCE = 5000
"""Ids in one statement: databases take some ten thousands."""
USERS = (
    Customer.user_id,
    Subscription.user_id,
    Override.user_id,
    Usage.user_id,
    StoredGrant.user_id,
    User.id,
)
"""Where users are named. Users of whom nothing is stored have the default plan, and are not known here."""


@dataclass(slots=True)
class UserRecords:
    """All that one user's entitlements and usage are made of."""

    user_id: str
    subscriptions: list[SubscriptionRecord] = field(default_factory=list)
    customers: list[CustomerRecord] = field(default_factory=list)
    """Those that are linked to the user, and the others that pay for its subscriptions."""
    invoices: list[InvoiceRecord] = field(default_factory=list)
    """The open ones of the subscriptions."""
    overrides: list[OverrideRecord] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    """Those that lasted within the time in which `read_grants` reads them."""
    usage: list[Row[Any]] = field(default_factory=list)


async def count_users(database: Database) -> int:
    """How many users the database names."""
    async with database.read_only() as session:
        found = await (await session.connection()).scalar(
            select(func.count()).select_from(_users().subquery())
        )
    return found or 0


async def user_pages(
    database: Database, known: dict[str, KnownPrice], page_size: int = PAGE
) -> AsyncIterator[list[UserRecords]]:
    """The records of all users, in the order of their ids; `known` receives what was seen of their prices.

    Each page is one snapshot. The database refuses every write meanwhile.
    """
    last: str | None = None
    while True:
        async with database.read_only() as session:
            connection = await session.connection()
            ids = list(await connection.scalars(_page_of_users(last, page_size)))
            page = await _read(connection, ids) if ids else []
            prices = price_ids_of(row for each in page for row in each.subscriptions)
            for chunk in _chunks(prices - known.keys()):
                known |= dict.fromkeys(chunk, KnownPrice()) | await known_prices(connection, chunk)
        if page:
            yield page
        if len(ids) < page_size:
            return
        last = ids[-1]


def _users() -> CompoundSelect[Any]:
    return union(*(select(col(column)).where(col(column).is_not(None)).distinct() for column in USERS))


def _page_of_users(after: str | None, size: int) -> Any:
    """Each table gives its next users by its index, and the next ones of those are the page."""
    parts = []
    for column in USERS:
        name = col(column)
        query: Select[Any] = select(name.label("id")).where(
            name.is_not(None) if after is None else name > after
        )
        parts.append(select(query.distinct().order_by(name).limit(size).subquery().c.id))
    users = union(*parts).subquery()
    return select(users.c.id).order_by(users.c.id).limit(size)


async def _read(connection: AsyncConnection, ids: Sequence[str]) -> list[UserRecords]:
    users = {id: UserRecords(id) for id in ids}
    customers = {row.id: row for row in await _rows(connection, Customer, _within(Customer.user_id, ids))}
    subscriptions = await _subscriptions(connection, ids)
    paying = {each.customer_id for each in subscriptions if each.customer_id} - customers.keys()
    customers |= {row.id: row for row in await _with_ids(connection, Customer, Customer.id, paying)}
    _assign(users, customers, subscriptions)
    await _add_invoices(connection, users)
    for override in await _rows(connection, Override, _within(Override.user_id, ids)):
        users[override.user_id].overrides.append(override)
    for grant in await _rows(connection, StoredGrant, _within(StoredGrant.user_id, ids)):
        users[grant.user_id].grants.append(as_grant(grant))
    await _add_purchases(connection, users, customers)
    for usage in await _rows(connection, Usage, _within(Usage.user_id, ids)):
        users[usage.user_id].usage.append(usage)
    return list(users.values())


async def _subscriptions(connection: AsyncConnection, ids: Sequence[str]) -> list[Row[Any]]:
    """Those that name one of the users, and those of an older release, which are their customers' users'."""
    table = table_of(Subscription)
    query = select(*(table.c[name] for name in SUBSCRIPTION_COLUMNS))
    own = await connection.execute(query.where(_within(Subscription.user_id, ids)))
    older = query.join(table_of(Customer), col(Customer.id) == col(Subscription.customer_id)).where(
        col(Subscription.links).is_(None), _within(Customer.user_id, ids)
    )
    return list({row.id: row for row in [*own, *await connection.execute(older)]}.values())


def _assign(
    users: dict[str, UserRecords], customers: dict[str, Row[Any]], subscriptions: Iterable[Row[Any]]
) -> None:
    """Give each user the subscriptions that are its own, and the customers as `read_entry` has them."""
    theirs: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
    for customer in customers.values():
        if customer.user_id in users:
            theirs[customer.user_id][customer.id] = customer
    for each in subscriptions:
        payer = customers.get(each.customer_id or "")
        owners = {each.user_id}
        if each.links is None and payer is not None:
            owners.add(payer.user_id)
        for owner in owners & users.keys():
            users[owner].subscriptions.append(each)
            if payer is not None:
                theirs[owner][payer.id] = payer
    for owner, found in theirs.items():
        users[owner].customers.extend(found.values())


async def _add_purchases(
    connection: AsyncConnection, users: dict[str, UserRecords], customers: dict[str, Row[Any]]
) -> None:
    """What was bought once: of the users whom it names, else of the customers' users."""
    owners = {id: row.user_id for id, row in customers.items() if row.user_id in users}
    for row in await _rows(connection, Purchase, _within(Purchase.user_id, list(users))):
        users[row.user_id].grants += grants_of(row)
    for row in await _with_ids(connection, Purchase, Purchase.customer_id, owners):
        if row.user_id is None:
            users[owners[row.customer_id]].grants += grants_of(row)


async def _add_invoices(connection: AsyncConnection, users: dict[str, UserRecords]) -> None:
    owners: dict[str, list[UserRecords]] = defaultdict(list)
    for user in users.values():
        for each in user.subscriptions:
            owners[each.id].append(user)
    is_open = col(Invoice.status) == "open"
    for invoice in await _with_ids(connection, Invoice, Invoice.subscription_id, owners.keys(), is_open):
        for user in owners[invoice.subscription_id]:
            user.invoices.append(invoice)


async def _with_ids(
    connection: AsyncConnection,
    model: Any,
    column: Any,
    ids: Collection[str],
    *conditions: ColumnElement[bool],
) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for chunk in _chunks(ids):
        found += await _rows(connection, model, col(column).in_(chunk), *conditions)
    return found


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    return (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE))


async def _rows(connection: AsyncConnection, model: Any, *conditions: Any) -> list[Row[Any]]:
    return list(await connection.execute(select(table_of(model)).where(*conditions)))


def _within(column: Any, ids: Sequence[str]) -> ColumnElement[bool]:
    """The condition for the users of a page, who follow each other in the order of their ids."""
    return and_(col(column) >= ids[0], col(column) <= ids[-1])
