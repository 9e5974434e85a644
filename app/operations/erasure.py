"""Removing a person's data: what the records are about stays, who it was goes.

Kept are ids, amounts, states and times, which access and bookkeeping rest on; removed are e-mail addresses,
names, metadata, and everything else in the raw events. The user's own id is the application's, and stays.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import and_, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.audit import audit_entry
from ..db.keyset import in_key_order
from ..db.models import AuditEntry, Customer, Invoice, Override, Subscription, WebhookEvent
from ..db.ownership import owned_by
from ..errors import NotFound

WINDOW = 2000
"""Events that one statement looks through."""
# fmt: off
KEPT = frozenset((
    "id", "object", "type", "api_version", "created", "livemode", "account", "status", "currency",
    "customer", "subscription", "invoice", "price", "plan", "product", "charge", "payment_intent",
    "latest_invoice", "default_payment_method", "interval", "usage_type", "billing_reason",
    "collection_method", "reason", "mode", "payment_status", "behavior", "client_reference_id", "user_id",
    "subscription_details", "parent", "pricing", "price_details", "subscription_item_details",
    "related_object",
))
# fmt: on
"""The members whose texts say nothing of a person. Numbers, truth values and nulls are kept everywhere."""


async def erase_user(
    database: Database, user_id: str, *, actor: str, at: int, link_keys: Sequence[str] = ("user_id",)
) -> dict[str, int]:
    """Remove the personal data of a user, of its subscriptions and of the customers linked to it; how many
    rows of each kind. `link_keys`: the metadata keys that name a user, which stay.

    In one transaction; it reads every stored event once, for those that name a customer inside.

    Raises:
        NotFound: when nothing is known of the user.
    """
    async with database.session() as session:
        owned = await owned_by(session, user_id)
        overrides = list(await session.exec(select(Override).where(Override.user_id == user_id)))
        if not owned.customers and not owned.subscriptions and not overrides:
            raise NotFound(f"Nothing is known of a user {user_id}.")
        ids = [customer.id for customer in owned.customers]
        own = [each.id for each in owned.subscriptions]
        theirs = or_(_theirs(Subscription, ids), col(Subscription.id).in_(own))
        await _hold(database, session, theirs, [customer.id for customer in owned.all_customers])
        customers = list(await session.exec(select(Customer).where(col(Customer.id).in_(ids))))
        for customer in customers:
            customer.email = None
            session.add(customer)
        for override in overrides:
            override.reason = None
            session.add(override)
        subscriptions = list(await session.exec(select(Subscription).where(theirs)))
        for subscription in subscriptions:
            subscription.stripe_metadata = {}
            session.add(subscription)
        erased = {
            "customers": len(customers),
            "subscriptions": len(subscriptions),
            "overrides": len(overrides),
            "events": await _erase_events(session, ids, subscriptions, KEPT | set(link_keys)),
            "audit_entries": await _erase_reasons(session, user_id),
        }
        session.add(audit_entry(at=at, actor=actor, action="user.erased", subject=user_id, after=erased))
    return erased


async def _hold(database: Database, session: AsyncSession, theirs: Any, customers: Sequence[str]) -> None:
    """A batch under way would write the rows back as it loaded them."""
    subscriptions = await session.exec(select(Subscription.id).where(theirs))
    names = [f"customer:{id}" for id in customers] + [f"subscription:{id}" for id in subscriptions]
    await database.hold(session, names)


def _theirs(model: type[Subscription] | type[Invoice], customers: Sequence[str]) -> Any:
    return col(model.customer_id).in_(customers)


async def _erase_events(
    session: AsyncSession,
    customers: Sequence[str],
    subscriptions: Sequence[Subscription],
    kept: Collection[str],
) -> int:
    """Reduce the bodies of all events that are about the customers and subscriptions."""
    own = [each.id for each in subscriptions]
    billed = or_(_theirs(Invoice, customers), col(Invoice.subscription_id).in_(own))
    objects = [*customers, *own, *await session.exec(select(Invoice.id).where(billed))]
    # A checkout session or a charge names its customer only inside.
    elsewhere = [each.id for each in subscriptions if each.customer_id not in customers]
    inside = [col(WebhookEvent.body).contains(f'"{id}"') for id in (*customers, *elsewhere)]
    theirs = or_(col(WebhookEvent.object_id).in_(objects), *inside)
    count = 0
    async for window in _windows(session):
        found = list(await session.exec(select(WebhookEvent.id, WebhookEvent.body).where(window, theirs)))
        for event_id, body in found:
            values = {"body": reduced(body, kept), "signature": None, "last_error": None}
            statement = update(WebhookEvent).where(col(WebhookEvent.id) == event_id).values(**values)
            await (await session.connection()).execute(statement)
        count += len(found)
    return count


async def _windows(session: AsyncSession) -> AsyncIterator[Any]:
    """All events, so many at a time that one statement never takes long."""
    key, last = col(WebhookEvent.id), ""
    while True:
        query = in_key_order(select(WebhookEvent.id), [key], [last]).limit(WINDOW)
        ids = list(await session.exec(query))
        if not ids:
            return
        yield and_(key > last, key <= ids[-1])
        last = ids[-1]


async def _erase_reasons(session: AsyncSession, user_id: str) -> int:
    """What somebody wrote about the person, in the trail of overrides."""
    entries = list(await session.exec(select(AuditEntry).where(AuditEntry.subject == user_id)))
    for entry in entries:
        entry.before, entry.after = _without_reason(entry.before), _without_reason(entry.after)
        session.add(entry)
    return len(entries)


def _without_reason(values: dict[str, Any] | None) -> dict[str, Any] | None:
    return values and {key: None if key == "reason" else value for key, value in values.items()}


def reduced(body: str, kept: Collection[str] = KEPT) -> str:
    """A raw event with nothing left that names a person, but for the texts of the members that are kept; what
    cannot be read is emptied."""
    try:
        return orjson.dumps(_reduced(orjson.loads(body), kept)).decode()
    except orjson.JSONDecodeError:
        return "{}"


def _reduced(value: Any, names: Collection[str], kept: bool = True) -> Any:
    if isinstance(value, dict):
        return {key: _reduced(inner, names, key in names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_reduced(inner, names, kept) for inner in value]
    return value if kept or not isinstance(value, str) else None
