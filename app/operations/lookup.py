"""Find whom somebody means: by the user's id, a customer's, a subscription's, or an e-mail address."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Override, Subscription, Usage
from ..errors import Conflict, NotFound
from ..stripe.objects import as_id


@dataclass(frozen=True, slots=True)
class Person:
    """A user with its customers; or one customer that nobody is linked to."""

    user_id: str | None
    customers: tuple[Customer, ...] = ()

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
        raise Conflict(f"Several fit. Give one of: {', '.join(person.name for person in people)}.")
    return people[0]


async def _find(session: AsyncSession, wanted: str) -> list[Person]:
    linked = await _customers_of(session, [wanted])
    if linked or await _has_rows(session, wanted):
        return [Person(wanted, tuple(linked))]
    named = await _customers_named(session, wanted)
    users = sorted({customer.user_id for customer in named if customer.user_id is not None})
    of_users = await _customers_of(session, users)
    alone = [Person(None, (customer,)) for customer in named if customer.user_id is None]
    return [Person(user, tuple(_of(user, of_users))) for user in users] + alone


async def _customers_of(session: AsyncSession, users: Sequence[str]) -> Sequence[Customer]:
    query = select(Customer).where(col(Customer.user_id).in_(users)).order_by(col(Customer.id))
    return (await session.exec(query)).all()


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


def _of(user_id: str, customers: Iterable[Customer]) -> Iterable[Customer]:
    return (customer for customer in customers if customer.user_id == user_id)
