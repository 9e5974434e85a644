"""Find whom somebody means: by the id of a user, customer, subscription, invoice or event, or by e-mail.

The admin screen and the commands ask here; every look-up is by an index.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal_column
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from ..db.models import Customer, Grant, Invoice, Override, Subscription, Usage, User, WebhookEvent
from ..db.ownership import Owned, owned_by, owned_of_customer
from ..errors import Conflict, NotFound
from ..stripe.objects import as_id

MOST_FOUND = 50
EMAIL_INDEXED = 200
"""Characters of an e-mail address that the index holds; see the migration."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user with what is its own; or one customer that nobody is linked to, with what is nobody's."""

    owned: Owned

    @property
    def user_id(self) -> str | None:
        return self.owned.user_id

    @property
    def customers(self) -> list[Customer]:
        """Those that are linked to the user, then those that pay for it."""
        return self.owned.all_customers

    @property
    def name(self) -> str:
        return self.user_id or self.customers[0].id


async def find_one(session: AsyncSession, words: str) -> Person:
    """The one whom the words mean; a user with exactly this id comes before all others.

    Raises:
        NotFound: when nobody fits.
        Conflict: when several do.
    """
    people = await find_people(session, words)
    if not people:
        raise NotFound(
            "Nobody fits: give the id of a user, a customer (cus_…), a subscription (sub_…), an invoice "
            "(in_…) or an event (evt_…), or an e-mail address. A user of whom nothing is stored is not known "
            "here."
        )
    if len(people) > 1 and people[0].user_id != words:
        raise Conflict(f"Several fit. Give one of: {', '.join(sorted(person.name for person in people))}.")
    return people[0]


async def find_people(session: AsyncSession, words: str) -> list[Person]:
    """Everyone whom the words may mean, each once, MOST_FOUND at most; first the user with this id."""
    found: dict[str, Person] = {}
    words = words.replace("\x00", "")  # which PostgreSQL takes in no text
    if as_id(words) is not None:
        if await is_user(session, words):
            found[words] = Person(await owned_by(session, words))
        for object_id in await _objects(session, words):
            for person in await _owners(session, object_id):
                found.setdefault(person.name, person)
    for customer in await session.exec(customers_with_email(words)) if "@" in words else ():
        for person in await _people_of(session, customer):
            found.setdefault(person.name, person)
    return list(found.values())[:MOST_FOUND]


async def is_user(session: AsyncSession, user_id: str) -> bool:
    """Whether anything is stored of a user with this id."""
    connection = await session.connection()
    for column in (
        User.id,
        Customer.user_id,
        Subscription.user_id,
        Override.user_id,
        Usage.user_id,
        Grant.user_id,
    ):
        query = select(column).where(col(column) == user_id).limit(1)
        if await connection.scalar(query) is not None:
            return True
    return False


async def _objects(session: AsyncSession, id: str) -> list[str]:
    """The id itself, and that of an event's object."""
    query = select(WebhookEvent.object_id).where(col(WebhookEvent.id) == id)
    object_id = (await session.exec(query)).first()
    return [id] if object_id is None else [id, object_id]


async def _owners(session: AsyncSession, object_id: str) -> list[Person]:
    """Whose the customer, subscription or invoice with this id is."""
    invoice = await session.get(Invoice, object_id)
    subscription_id = invoice.subscription_id if invoice is not None else object_id
    subscription = await session.get(Subscription, subscription_id) if subscription_id else None
    if subscription is not None and subscription.user_id is not None:
        return [Person(await owned_by(session, subscription.user_id))]
    known = subscription or invoice
    customer_id = object_id if known is None else known.customer_id
    customer = await session.get(Customer, customer_id) if customer_id else None
    return [] if customer is None else await _people_of(session, customer)


async def _people_of(session: AsyncSession, customer: Customer) -> list[Person]:
    """The user that the customer is linked to; without one, those that it pays for, and what is nobody's."""
    if customer.user_id is not None:
        return [Person(await owned_by(session, customer.user_id))]
    paid_for = select(Subscription.user_id).where(col(Subscription.customer_id) == customer.id).distinct()
    users = sorted({user for user in await session.exec(paid_for) if user is not None})
    people = [Person(await owned_by(session, user)) for user in users]
    nobodys = await owned_of_customer(session, customer)
    return people if people and not nobodys.subscriptions else [*people, Person(nobodys)]


def customers_with_email(address: str) -> SelectOfScalar[Customer]:
    """Upper and lower case are the same, as the database sees them."""
    # As the index has it, to the letter.
    start: Any = literal_column(f"lower(substr(email, 1, {EMAIL_INDEXED}))")
    return (
        select(Customer)
        .where(start == func.lower(address[:EMAIL_INDEXED]))
        .where(func.lower(col(Customer.email)) == func.lower(address))
        .order_by(col(Customer.id))
        .limit(MOST_FOUND)
    )
