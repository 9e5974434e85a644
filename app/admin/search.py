"""The one search box: user id, customer id, e-mail, subscription, invoice or event id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal_column
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Invoice, Override, Subscription, Usage, User, WebhookEvent
from .formatting import encoded

MOST_FOUND = 50
EMAIL_INDEXED = 200
"""The prefix length of the index on e-mails, in characters; see the migration."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A search result. `path` is its page."""

    path: str
    kind: str
    name: str
    note: str | None = None


async def find(session: AsyncSession, words: str) -> list[SearchResult]:
    """Everything that the words identify, each once. Every query uses an index."""
    if not words:
        return []
    customers: dict[str, Customer] = {}
    for customer in [*await _by_email(session, words), *await _by_id(session, words)]:
        customers[customer.id] = customer
    found = {each.path: each for each in map(customer_page, customers.values())}
    if await _is_user(session, words):
        found.setdefault(user_path(words), SearchResult(user_path(words), "user", words))
    if await session.get(WebhookEvent, words, options=[]) is not None:
        path = f"/event?id={encoded(words)}"
        found[path] = SearchResult(path, "event", words)
    return list(found.values())[:MOST_FOUND]


def user_path(user_id: str) -> str:
    return f"/user?id={encoded(user_id)}"


def customer_page(customer: Customer) -> SearchResult:
    """A customer is shown on its user's page; one without a user has a page of its own."""
    if customer.user_id is not None:
        return SearchResult(user_path(customer.user_id), "user", customer.user_id, customer.email)
    return SearchResult(f"/user?customer={encoded(customer.id)}", "customer", customer.id, customer.email)


async def _by_email(session: AsyncSession, words: str) -> Sequence[Customer]:
    if "@" not in words:
        return []
    start: Any = literal_column(
        f"lower(substr(email, 1, {EMAIL_INDEXED}))"
    )  # as the index has it, to the letter
    query = select(Customer).where(start == func.lower(words[:EMAIL_INDEXED])).limit(MOST_FOUND)
    return (await session.exec(query)).all()


async def _by_id(session: AsyncSession, words: str) -> list[Customer]:
    """The customer with this id, or whose subscription, invoice or event has it."""
    ids = {words}
    for model in (Subscription, Invoice):
        row: Any = await session.get(model, words)
        if row is not None and row.customer_id:
            ids.add(row.customer_id)
    ids |= await _of_event(session, words)
    query = select(Customer).where(col(Customer.id).in_(ids))
    return list(await session.exec(query))


async def _of_event(session: AsyncSession, event_id: str) -> set[str]:
    """The customers that an event's object belongs to."""
    query = select(WebhookEvent.object_id).where(col(WebhookEvent.id) == event_id)
    object_id = await (await session.connection()).scalar(query)
    if object_id is None:
        return set()
    owners = {object_id}
    for model in (Subscription, Invoice):
        row: Any = await session.get(model, object_id)
        if row is not None and row.customer_id:
            owners.add(row.customer_id)
    return owners


async def _is_user(session: AsyncSession, words: str) -> bool:
    """Whether anything is stored of a user with this id."""
    connection = await session.connection()
    for column in (User.id, Customer.user_id, Override.user_id, Usage.user_id):
        if await connection.scalar(select(column).where(col(column) == words).limit(1)) is not None:
            return True
    return False
