"""Finds everything that is stored of a user, by exact ids: for an erasure and for an export."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db import Database
from ..db.keyset import in_key_order
from ..db.models import Customer, Invoice, OutboxEntry, Purchase, Subscription, WebhookEvent
from ..db.ownership import owned_by
from ..errors import NotFound
from ..limits.grants import purchases_of
from .lookup import is_user

T = TypeVar("T")

STEP = 200
"""Rows that one transaction changes, and ids that one query names: webhooks wait for no more than that."""
OF_USERS = (
    "entitlements_changed",
    "over_limit",
    "usage_threshold_reached",
    "limit_reached",
    "usage_overage",
)
"""Signals about users whom no customer may name. What they say are ids, limits and amounts."""
NAMES_PAYMENT = ("charge.dispute.", "charge.refund.", "refund.")
"""What the types of events begin with whose objects name a payment and no customer."""
WINDOW = 200
"""Events that are read at a time."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """The ids of the rows that are about a user."""

    user_id: str
    customers: Sequence[str]
    """The customers that are linked to the user."""
    subscriptions: Sequence[str]
    """The user's own subscriptions, whoever pays for them, and those of its customers."""
    payers: Sequence[str]
    """The other customers that pay for one of the subscriptions; they are somebody else's."""
    invoices: Sequence[str]
    payments: Sequence[str]
    """The payments of the invoices and of what was bought once, by which disputes and refunds name them."""
    emails: frozenset[str]
    named_inside: Sequence[str]
    """The ids by which the body of an event is the user's, whatever its object is."""


async def find_personal_data(database: Database, user_id: str) -> PersonalData:
    """
    Raises:
        NotFound: when nothing is known of the user.
    """
    async with database.reading() as session:
        if not await is_user(session, user_id):
            raise NotFound(f"Nothing is known of a user {user_id}.")
        owned = await owned_by(session, user_id)
        customers = [each.id for each in owned.customers]
        subscriptions = {each.id: each.customer_id for each in owned.subscriptions}
        invoices: dict[str, str | None] = {}
        for some in steps(customers):
            theirs = select(Subscription.id, Subscription.customer_id).where(
                col(Subscription.customer_id).in_(some)
            )
            subscriptions |= dict(list(await session.exec(theirs)))
            invoices |= await _invoices(session, col(Invoice.customer_id).in_(some))
        for some in steps(list(subscriptions)):
            invoices |= await _invoices(session, col(Invoice.subscription_id).in_(some))
        purchases = list(await session.exec(select(Purchase.id).where(purchases_of(user_id))))
    # A checkout session or a charge names its customer only inside.
    known = set(customers)
    of_others = [id for id, customer in subscriptions.items() if customer not in known]
    return PersonalData(
        user_id,
        customers,
        sorted(subscriptions),
        [each.id for each in owned.payers],
        sorted(invoices),
        sorted({payment for payment in invoices.values() if payment} | {*purchases}),
        frozenset(each.email for each in owned.customers if each.email),
        [*customers, *of_others],
    )


async def _invoices(session: AsyncSession, condition: Any) -> dict[str, str | None]:
    found = await session.exec(select(Invoice.id, Invoice.payment_id).where(condition))
    return dict(list(found))


def steps(ids: Sequence[T], size: int = STEP) -> Iterator[Sequence[T]]:
    """The ids in runs of a bounded length."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


class StoredEvent(NamedTuple):
    id: str
    body: str


async def events_about(database: Database, data: PersonalData) -> AsyncIterator[list[StoredEvent]]:
    """The events about the user, some at a time. Every stored event is read once.

    Ids are looked for here: to the LIKE of SQL, `_` and `%` are wildcards, and to SQLite's upper and lower
    case are the same; and one pass does for any number of ids.
    """
    objects = {*data.customers, *data.subscriptions, *data.invoices}
    inside, payments = frozenset(data.named_inside), frozenset(data.payments)
    key, last = col(WebhookEvent.id), ""
    columns: tuple[Any, ...] = (WebhookEvent.id, WebhookEvent.object_id, WebhookEvent.type, WebhookEvent.body)
    while True:
        page = in_key_order(select(*columns), [key], [last]).limit(WINDOW)
        async with database.reading() as session:
            rows = list(await session.exec(page))
        if not rows:
            return
        found = []
        for event_id, object_id, event_type, body in rows:
            ids = inside | payments if event_type.startswith(NAMES_PAYMENT) else inside
            if object_id in objects or not ids.isdisjoint(TEXT.findall(body)):
                found.append(StoredEvent(event_id, body))
        yield found
        last = rows[-1][0]


TEXT = re.compile(r'"([^"\\]{1,255})(?=")')
"""A text in a body, and what is between two: each quote may begin one. Stripe's ids need no escapes."""


async def reactions_about(session: AsyncSession, data: PersonalData) -> AsyncIterator[list[OutboxEntry]]:
    """The outbox entries about the user, in steps; of those who only pay, the ones about the user alone."""
    for customers in steps([*data.customers, *data.payers]):
        last = ""
        while True:
            theirs = select(OutboxEntry).where(col(OutboxEntry.customer_id).in_(customers))
            page = in_key_order(theirs, [col(OutboxEntry.id)], [last]).limit(STEP)
            entries = list(await session.exec(page))
            yield [entry for entry in entries if _is_about(entry, data)]
            if len(entries) < STEP:
                break
            last = entries[-1].id
    async for entries in _of_user(session, data.user_id):
        yield entries


async def _of_user(session: AsyncSession, user_id: str) -> AsyncIterator[list[OutboxEntry]]:
    """The outbox entries that name the user alone, in steps: their ids begin with the signal and the user."""
    for signal in OF_USERS:
        last, end = f"{signal}:{user_id}:", f"{signal}:{user_id};"  # ";" follows ":"
        while True:
            theirs = select(OutboxEntry).where(col(OutboxEntry.id) < end)
            page = in_key_order(theirs, [col(OutboxEntry.id)], [last]).limit(STEP)
            entries = list(await session.exec(page))
            yield [entry for entry in entries if entry.reaction.get("user_id") == user_id]
            if len(entries) < STEP:
                break
            last = entries[-1].id


def _is_about(entry: OutboxEntry, data: PersonalData) -> bool:
    told = entry.reaction
    if entry.customer_id in data.customers or told.get("user_id") == data.user_id:
        return True
    return told.get("subscription_id") in data.subscriptions


def records_of(data: PersonalData) -> Iterator[tuple[type[Customer | Subscription | Invoice], Sequence[str]]]:
    """The records of the user, in steps: a model and some of its ids."""
    kinds: list[tuple[type[Customer | Subscription | Invoice], Sequence[str]]] = [
        (Customer, data.customers),
        (Subscription, data.subscriptions),
        (Invoice, data.invoices),
    ]
    return ((model, some) for model, ids in kinds for some in steps(ids))
