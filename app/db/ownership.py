"""What belongs to a user: the customers that are linked to it, and the subscriptions that are its own.

They differ: one customer may pay for several users, each with a subscription of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, and_, or_, union
from sqlmodel import col, exists, select
from sqlmodel.ext.asyncio.session import AsyncSession

from .models import Customer, Invoice, Subscription


@dataclass(frozen=True, slots=True)
class Owned:
    """What is a user's. A query for `user_id` None and one customer gives what nobody has of that."""

    user_id: str | None
    customers: Sequence[Customer]
    """Those that are linked to the user."""
    payers: Sequence[Customer]
    """The other customers that pay for one of the user's subscriptions."""
    subscriptions: Sequence[Subscription]

    @property
    def all_customers(self) -> list[Customer]:
        """Those that are linked, then those that pay."""
        return [*self.customers, *self.payers]

    def invoices(self, hidden: Collection[str] = ()) -> ColumnElement[bool]:
        """The condition for the user's invoices, but for those of hidden customers (their ids)."""
        own = [each.id for each in self.subscriptions if each.customer_id not in hidden]
        linked = [each.id for each in self.customers if each.id not in hidden]
        return invoices_of(self.user_id, linked, own)


async def owned_by(session: AsyncSession, user_id: str) -> Owned:
    """What is the user's, each kind in the order of its ids."""
    customers = await _all(session, Customer, col(Customer.user_id) == user_id)
    return await _owned(session, user_id, customers)


async def owned_of_customer(session: AsyncSession, customer: Customer) -> Owned:
    """What nobody has of a customer that is linked to nobody."""
    return await _owned(session, None, [customer])


async def _owned(session: AsyncSession, user_id: str | None, customers: Sequence[Customer]) -> Owned:
    known = {customer.id for customer in customers}
    subscriptions = await _all(session, Subscription, subscriptions_of(user_id, known))
    paying = {each.customer_id for each in subscriptions if each.customer_id is not None} - known
    payers = await _all(session, Customer, col(Customer.id).in_(paying)) if paying else []
    return Owned(user_id, customers, payers, subscriptions)


def subscriptions_of(user_id: str | None, customers: Collection[str]) -> ColumnElement[bool]:
    """The condition for a user's own subscriptions, given the ids of the customers that are linked to it.

    A row that only an older release has written has no `links`, and is its customer's user's.
    """
    theirs = col(Subscription.customer_id).in_(customers)
    if user_id is None:
        return and_(theirs, col(Subscription.user_id).is_(None))
    return or_(col(Subscription.user_id) == user_id, and_(col(Subscription.links).is_(None), theirs))


def invoices_of(
    user_id: str | None, customers: Collection[str], subscriptions: Collection[str]
) -> ColumnElement[bool]:
    """The condition for the invoices of the user's subscriptions, and for those of the customers that are
    linked to it that are of no subscription of anybody else. Both are given by their ids."""
    others = exists().where(
        col(Subscription.id) == col(Invoice.subscription_id),
        col(Subscription.links).is_not(None),
        col(Subscription.user_id).is_distinct_from(user_id),
    )
    linked = col(Invoice.customer_id).in_(customers)
    return or_(col(Invoice.subscription_id).in_(subscriptions), and_(linked, ~others))


def unlinked_customers(*conditions: ColumnElement[bool]) -> CompoundSelect[Any]:
    """The ids of the customers that pay for subscriptions that are nobody's and fit the conditions."""
    pays = select(Subscription.customer_id).where(*conditions)
    nobodys = pays.where(col(Subscription.user_id).is_(None), col(Subscription.links).is_not(None))
    of_customer = col(Customer.id) == col(Subscription.customer_id)
    older = pays.join(Customer, of_customer, isouter=True).where(
        col(Subscription.links).is_(None), col(Customer.user_id).is_(None)
    )
    return union(nobodys, older)


def user_of(subscription: Subscription, customer: Customer | None) -> str | None:
    """A subscription's own user, given its customer; an older release left it to the customer."""
    if subscription.links is not None or customer is None:
        return subscription.user_id
    return customer.user_id


async def _all(session: AsyncSession, model: Any, condition: Any) -> list[Any]:
    return list(await session.exec(select(model).where(condition).order_by(model.id)))
