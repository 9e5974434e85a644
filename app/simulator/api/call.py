"""One request to the API, as the functions that answer it see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..account import Account
from ..model import (
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Event,
    Invoice,
    Price,
    Record,
    Subscription,
    WebhookEndpoint,
)
from ..shapes import Shape
from .catalogue import Catalogue
from .errors import no_such
from .forms import Params


@dataclass(frozen=True)
class PortalPage:
    """What the page behind a portal session's `url` shows; `flow`: the one task that it is for."""

    customer: str
    return_url: str | None
    flow: str | None = None


Found = (
    Customer
    | Subscription
    | Invoice
    | CheckoutSession
    | Price
    | Record
    | Event
    | WebhookEndpoint
    | Charge
    | Dispute
)
T = TypeVar("T")

EVENT_SECONDS = 30 * 86_400
"""Stripe shows events for 30 days."""


@dataclass(frozen=True)
class Call:
    """`route` is the path with `{id}` for ids; `id` is that of the path, `inner_id` the second one in it.

    `shape` is the request's API version, `api_version` the account's. With a key of the `other_mode` nothing
    is there to be seen. The methods that look an object up by id raise ApiError `resource_missing`: 404 for
    the id of the path, 400 for that of a parameter.
    """

    catalogue: Catalogue
    params: Params
    method: str
    route: str
    path: str
    id: str
    inner_id: str
    shape: Shape
    api_version: Shape
    base_url: str
    other_mode: bool
    portals: dict[str, PortalPage]

    @property
    def account(self) -> Account:
        return self.catalogue.account

    @property
    def oldest_event(self) -> int:
        """Unix seconds."""
        return self.account.now - EVENT_SECONDS

    def customer(self, id: str | None = None, param: str = "id") -> Customer:
        return self.find("customer", self.account.customers, id, param)

    def living_customer(self, id: str | None = None, param: str = "id") -> Customer:
        """A deleted customer can be read, and nothing else."""
        customer = self.customer(id, param)
        if customer.deleted:
            raise no_such("customer", customer.id, param=param, status=404 if id is None else 400)
        return customer

    def subscription(self, id: str | None = None, param: str = "id") -> Subscription:
        return self.find("subscription", self.account.subscriptions, id, param)

    def invoice(self) -> Invoice:
        return self.find("invoice", self.account.invoices)

    def session(self) -> CheckoutSession:
        return self.find("checkout.session", self.account.sessions)

    def price(self, id: str | None = None, param: str = "id") -> Price:
        return self.find("price", self.account.prices, id, param)

    def endpoint(self) -> WebhookEndpoint:
        return self.find("webhook endpoint", self.account.endpoints)

    def event(self) -> Event:
        event = self.find("event", self.catalogue.events)
        if event.created < self.oldest_event:
            raise no_such("event", event.id)
        return event

    def find(self, noun: str, table: Mapping[str, T], id: str | None = None, param: str = "id") -> T:
        """The object of this id, or of the path's."""
        wanted = self.id if id is None else id
        status = 404 if id is None else 400
        found = table.get(wanted)
        if found is None:
            raise no_such(noun, wanted, param=param, status=status)
        if self.other_mode:
            mode = "live" if self.account.livemode else "test"
            raise no_such(noun, wanted, param=param, status=status, elsewhere=mode)
        return found
