"""What the lists of an account show, kept up with the account as it goes on."""

from collections.abc import Hashable, Mapping
from itertools import islice, takewhile

from ..account import Account
from ..model import (
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Entity,
    Event,
    Invoice,
    Price,
    Record,
    Subscription,
)
from .index import Index

Tables = (
    dict[str, Customer]
    | dict[str, Subscription]
    | dict[str, Invoice]
    | dict[str, CheckoutSession]
    | dict[str, Price]
)


class Catalogue:
    """The objects of an account by kind, in the order of lists.

    `refresh` costs what has happened since the last one: it sees new objects in the account's tables and
    changed ones by their events. Where events were inserted or removed, it starts again.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.events: dict[str, Event] = {}
        self._begin()

    def _begin(self) -> None:
        self.customers_index, self.subscriptions_index, self.invoices_index = Index(), Index(), Index()
        self.prices_index, self.sessions_index = Index(), Index()
        self.events_index = Index()
        self.events.clear()
        self._last: Event | None = None

    def refresh(self) -> None:
        known, events = len(self.events), self.account.events
        if known and (len(events) < known or events[known - 1] is not self._last):
            self._begin()
            known = 0
        self._take_new()
        for event in islice(events, known, None):
            self.events[event.id] = self._last = event
            self.events_index.put(event.id, event.created, {"type": event.type})
            self._take_again(event.after)

    def endpoints_index(self) -> Index:
        """Built each time: an account has few webhook endpoints, and they are deleted."""
        index = Index()
        for endpoint in self.account.endpoints.values():
            index.put(endpoint.id, endpoint.created, {})
        return index

    def _take_new(self) -> None:
        account = self.account
        tables: tuple[tuple[Index, Tables], ...] = (
            (self.customers_index, account.customers),
            (self.subscriptions_index, account.subscriptions),
            (self.invoices_index, account.invoices),
            (self.sessions_index, account.sessions),
            (self.prices_index, account.prices),
        )
        for index, table in tables:
            for id in reversed(_newest(index, table)):
                self._take(index, table[id])

    def _take_again(self, shown: Entity) -> None:
        """The event shows the object as it was then; the account holds it as it is, if it still does."""
        account = self.account
        now: Entity | None
        match shown:
            case Customer():
                index, now = self.customers_index, account.customers.get(shown.id)
            case Subscription():
                index, now = self.subscriptions_index, account.subscriptions.get(shown.id)
            case Invoice():
                index, now = self.invoices_index, account.invoices.get(shown.id)
            case CheckoutSession():
                index, now = self.sessions_index, account.sessions.get(shown.id)
            case Price():
                index, now = self.prices_index, account.prices.get(shown.id)
            case Charge() | Dispute() | Record():
                return  # in no index
        if now is not None:
            self._take(index, now)

    def _take(self, index: Index, entity: Entity) -> None:
        index.put(entity.id, entity.created, facets(entity))
        if isinstance(entity, Price):
            self.account.ensure_product(entity.product, entity.created)


def _newest(index: Index, table: Tables) -> list[str]:
    """The ids that the index does not know yet, the newest first."""
    return list(takewhile(lambda id: id not in index.places, reversed(table)))


def facets(entity: Entity) -> Mapping[str, Hashable]:
    """What lists of this kind are filtered by; every name is a parameter of the list."""
    match entity:
        case Customer():
            return {"email": entity.email, "deleted": entity.deleted}
        case Subscription():
            prices = tuple(item.price.id for item in entity.items)
            return {"customer": entity.customer, "status": entity.status, "price": prices}
        case Invoice():
            return {
                "customer": entity.customer,
                "status": entity.status,
                "subscription": entity.subscription,
            }
        case CheckoutSession():
            return {
                "customer": entity.customer,
                "status": entity.status,
                "subscription": entity.subscription,
            }
        case Price():
            kind = "recurring" if entity.recurring else "one_time"
            return {
                "product": entity.product,
                "currency": entity.currency,
                "active": entity.active,
                "type": kind,
                "lookup_key": entity.lookup_key,
            }
        case Charge() | Dispute() | Record():
            return {}
