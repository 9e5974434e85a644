"""The one search box: user id, customer id, e-mail, subscription, invoice or event id."""

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import WebhookEvent
from ..operations.lookup import Person, find_people
from .formatting import encoded


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A search result. `path` is its page."""

    path: str
    kind: str
    name: str
    note: str | None = None


async def find(session: AsyncSession, words: str) -> list[SearchResult]:
    """Everything that is called so, each once."""
    found = [_person_page(person) for person in await find_people(session, words)]
    if words and await session.get(WebhookEvent, words, options=[]) is not None:
        found.append(SearchResult(f"/event?id={encoded(words)}", "event", words))
    return found


def user_path(user_id: str) -> str:
    return f"/user?id={encoded(user_id)}"


def _person_page(person: Person) -> SearchResult:
    """A user's page; a customer without a user has a page of its own."""
    email = next((customer.email for customer in person.customers), None)
    if person.user_id is not None:
        return SearchResult(user_path(person.user_id), "user", person.user_id, email)
    return SearchResult(f"/user?customer={encoded(person.name)}", "customer", person.name, email)
