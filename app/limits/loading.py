"""Read all that a user's entitlements are made of."""

from collections.abc import Callable, Collection, Iterable
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..concurrency import let_others_run, run_aside
from ..db.models import Customer, Invoice, Override, Subscription, table_of
from ..db.ownership import subscriptions_of
from ..entitlements import Balance, Entitlements, SubscriptionRecord, entitle
from ..errors import InvalidRequest
from ..plans import Catalogue
from ..stripe.objects import MAX_ID_LENGTH, as_id
from . import statements
from .cache import Entry, entry_of
from .grants import drawn_since, read_grants, read_version
from .prices import known_prices, prices_named_by

T = TypeVar("T")

MANY_SUBSCRIPTIONS = 100
"""With at least so many, what a user has is computed in a thread, so that other requests need not wait."""
ROWS_AT_ONCE = 100
"""So many rows are made of what the database answered before other requests may go on."""
IDS_AT_ONCE = 500
"""So many ids one statement names: to write down thousands would keep other requests waiting."""
SUBSCRIPTION_COLUMNS = (
    *(name for name in vars(SubscriptionRecord) if not name.startswith("_")),
    "user_id",
    "links",
)
"""Those that entitlements are made of: to parse the others would take half of the time."""


async def read_entry(connection: AsyncConnection, user_id: str, catalogue: Catalogue, now: int) -> Entry:
    """The user's entitlements with the usage, as of `now` (Unix seconds). Writes nothing.

    Raises:
        InvalidRequest: when the user's id cannot be one.
    """
    if as_id(user_id) is None:
        raise InvalidRequest(f"user_id: a text of 1 to {MAX_ID_LENGTH} printable characters.")
    # The version comes first: rows that are newer than it do no harm, the guard then reads again.
    version, has_grants = await read_version(connection, user_id)
    customers = await _rows(connection, Customer, col(Customer.user_id) == user_id)
    ids = {customer.id for customer in customers}
    subscriptions = await _rows(connection, Subscription, subscriptions_of(user_id, ids))
    invoices: list[Row[Any]] = []
    if subscriptions:
        paying = {each.customer_id for each in subscriptions if each.customer_id} - ids
        customers += await _rows_with(connection, Customer, Customer.id, paying)
        theirs, is_open = [each.id for each in subscriptions], col(Invoice.status) == "open"
        invoices = await _rows_with(connection, Invoice, Invoice.subscription_id, theirs, is_open)
    overrides = await _rows(connection, Override, col(Override.user_id) == user_id)
    many = len(subscriptions) >= MANY_SUBSCRIPTIONS and isinstance(connection, AsyncConnection)
    known = await known_prices(connection, await _compute(partial(prices_named_by, subscriptions), many))
    grants = await read_grants(connection, user_id, now) if has_grants else []
    work = partial(
        entitle,
        user_id,
        subscriptions,
        invoices,
        customers,
        overrides,
        catalogue,
        now,
        known=known,
        grants=grants,
    )
    made = await _compute(work, many)
    usage_of = statements.usage_of(connection.dialect.name)
    rows = list(await connection.execute(usage_of, {"user_id": user_id, "now": now}))
    held_until = min((int(row.held_until) for row in rows if row.held_until is not None), default=None)
    return entry_of(made.with_usage(*usage_in(rows, made)), version, held_until)


def usage_in(
    rows: Iterable[Any], entitlements: Entitlements
) -> tuple[dict[str, int], dict[str, int], dict[str, Balance]]:
    """What the user has used of each feature in the period that is open now, live holds included; since when
    what is over its limit is; and what was drawn from grants. From rows of usage with what is `held`."""
    now = entitlements.as_of
    usage: dict[str, int] = {}
    over_since: dict[str, int] = {}
    balances: dict[str, Balance] = {}
    for row in rows:
        if row.feature in entitlements.features:
            start = entitlements.period_of(row.feature, now).start
            used = used_since(row, start)
            usage[row.feature] = int(row.held) + used
            balances[row.feature] = Balance(used, drawn_since(row, start))
            if row.over_since is not None:
                over_since[row.feature] = int(row.over_since)
    return usage, over_since, balances


def used_since(row: Row[Any], start: int) -> int:
    """What a row of usage says of the period that began at `start`: nothing, if its own one began before.

    The rule of the statements (`OVER`) for readers: the row is reset when it is next written.
    """
    return 0 if row.period_start < start else int(row.used)


async def _compute(work: Callable[[], T], many: bool) -> T:
    return await run_aside(work) if many else work()


async def _rows_with(
    connection: AsyncConnection, model: Any, column: Any, values: Collection[str], *conditions: Any
) -> list[Row[Any]]:
    """The rows whose column has one of these values, under further conditions."""
    ordered, found = sorted(values), list[Row[Any]]()
    for start in range(0, len(ordered), IDS_AT_ONCE):
        some = col(column).in_(ordered[start : start + IDS_AT_ONCE])
        found += await _rows(connection, model, some, *conditions)
    return found


async def _rows(connection: AsyncConnection, model: Any, *conditions: Any) -> list[Row[Any]]:
    """The rows that meet the conditions. Where there are many, other requests go on meanwhile: the database
    has answered, so this is still one view."""
    result = await connection.execute(_query(model).where(*conditions))
    rows = list(result.fetchmany(ROWS_AT_ONCE))
    has_event_loop = isinstance(connection, AsyncConnection)
    while rows and len(rows) % ROWS_AT_ONCE == 0 and (more := result.fetchmany(ROWS_AT_ONCE)):
        if has_event_loop:
            await let_others_run()
        rows += more
    result.close()
    return rows


@cache
def _query(model: Any) -> Select[Any]:
    table = table_of(model)
    names = (*SUBSCRIPTION_COLUMNS, "schedules") if model is Subscription else table.c.keys()
    return select(*(table.c[name] for name in names))
