"""Find whom somebody means: by the user's id, a customer's, a subscription's, or an e-mail address."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Override, Subscription, Usage
from ..db.ownership import Owned, owned_by, owned_of_customer
from ..errors import Conflict, NotFound
from ..stripe.objects import as_id


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


async def find_one(session: AsyncSession, wanted: str) -> Person:
    """
    Raises:
        NotFound: when nobody fits.
        Conflict: when several do.
    """
    people = await _find(session, wanted) if as_id(wanted) else []
    if not people:
        raise NotFound(
            "Nobody fits: give the id of a user, a customer (cus_…) or a subscription (sub_…), or an e-mail "
            "address. A user without a customer, usage or override is not known here."
        )
    if len(people) > 1:
        raise Conflict(f"Several fit. Give one of: {', '.join(sorted(person.name for person in people))}.")
    return people[0]


async def _find(session: AsyncSession, wanted: str) -> list[Person]:
    owned = await owned_by(session, wanted)
    if owned.customers or owned.subscriptions or await _has_rows(session, wanted):
        return [Person(owned)]
    subscription = await session.get(Subscription, wanted)
    if subscription is not None and subscription.user_id is not None:
        return [Person(await owned_by(session, subscription.user_id))]
    named = await _customers_named(session, wanted)
    people = [await _people_of(session, customer) for customer in named]
    return list({person.name: person for found in people for person in found}.values())


async def _people_of(session: AsyncSession, customer: Customer) -> list[Person]:
    """The user that the customer is linked to; without one, those that it pays for, and what is nobody's."""
    if customer.user_id is not None:
        return [Person(await owned_by(session, customer.user_id))]
    paid_for = select(Subscription.user_id).where(col(Subscription.customer_id) == customer.id).distinct()
    users = sorted({user for user in await session.exec(paid_for) if user is not None})
    people = [Person(await owned_by(session, user)) for user in users]
    nobodys = await owned_of_customer(session, customer)
    return people if people and not nobodys.subscriptions else [*people, Person(nobodys)]


async def _customers_named(session: AsyncSession, wanted: str) -> Sequence[Customer]:
    owner = select(Subscription.customer_id).where(col(Subscription.id) == wanted)
    fits = [col(Customer.id) == wanted, col(Customer.id).in_(owner)]
    if "@" in wanted:  # no index has addresses: this reads every customer
        fits.append(func.lower(col(Customer.email)) == wanted.lower())
    return (await session.exec(select(Customer).where(or_(*fits)).order_by(col(Customer.id)))).all()


async def _has_rows(session: AsyncSession, user_id: str) -> bool:
    """Whether anything is kept of a user who is no customer."""
    for model in (Usage, Override):
        if (await session.exec(select(model).where(col(model.user_id) == user_id).limit(1))).first():
            return True
    return False
