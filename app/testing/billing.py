"""The fixture `billing`: an application with its service, and Stripe in its hands."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI

from ..entitlements import Entitlements
from ..service import Service
from ..simulator import Account, Event, Subscription, signed_event
from .clock import Clock
from .portal import RunningApp
from .subscribers import customer_of, make_prices, price_of, subscribe

T = TypeVar("T")
MOST_APART_SECONDS = 300
"""As far apart as Stripe's signatures may be from the clock that checks them."""


class Billing:
    """A running application, and the account at the simulator that sends it events.

    The application runs in a thread of its own, so all methods are ordinary functions. A test that is a
    coroutine may call them, too.
    """

    def __init__(self, running: RunningApp, account: Account, clock: Clock) -> None:
        """
        Raises:
            RuntimeError: when the service was not given the clock.
        """
        self.account = account
        self.clock = clock
        self._running = running
        self._client = running.client()
        self._delivered = 0
        if abs(self.service.clock() - clock()) > MOST_APART_SECONDS:
            raise RuntimeError(
                "The service does not have the clock of the tests: "
                "install(app, billing_settings, clock=billing_clock)."
            )

    @property
    def app(self) -> FastAPI:
        return self._running.app

    @property
    def service(self) -> Service:
        """The service that is installed in the application."""
        service: Service = self._running.service
        return service

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run a coroutine function in the application's event loop, such as one that uses its database."""
        return self._running.call(function, *arguments)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the application; options as of `httpx`, such as `json`, `params` and `headers`."""
        return self._running.call(lambda: self._client.request(method, path, **options))

    def deliver(self, *events: Event) -> list[str]:
        """Deliver events, signed: these, or all that happened in the account since the last delivery.

        What the service did with each: `processed`, `duplicate`, `ignored` and so on.

        Raises:
            AssertionError: when the webhook refuses one.
        """
        if not events:
            events = tuple(self.account.events[self._delivered :])
            self._delivered = len(self.account.events)
        return [self._running.call(self._send, event) for event in events]

    async def _send(self, event: Event) -> str:
        secret = self.service.settings.signing_secrets[0]
        body, headers = signed_event(event, secret, int(self.service.clock()), livemode=self.account.livemode)
        answer = await self._client.post(self._running.webhook_path, content=body, headers=headers)
        if answer.status_code != httpx.codes.OK:
            raise AssertionError(f"{event.type} was refused: {answer.status_code} {answer.text}")
        return str(answer.json()["status"])

    def subscribe(
        self,
        user: str,
        plan: str,
        *,
        quantity: int = 1,
        trial_days: int = 0,
        paid: bool | None = True,
    ) -> Subscription:
        """A user on a plan: makes the customer and the subscription, and delivers their events.

        `paid`: None leaves the subscription incomplete. What happens to it next is done in the account, such
        as `billing.account.renew(subscription, paid=False)`, and delivered.

        Raises:
            NotFound: when the catalogue has no such plan.
            ConfigurationError: when it has no price.
        """
        keys = self.service.settings.link_metadata_keys
        subscription = subscribe(
            self.account,
            self.service.limits.catalogue,
            customer_of(self.account, user, keys),
            plan,
            quantity=quantity,
            trial_days=trial_days,
            paid=paid,
        )
        self.deliver()
        return subscription

    def make_prices(self) -> None:
        """Have every price in the account that the catalogue sells; those that are there stay as they are."""
        make_prices(self.account, self.service.limits.catalogue)
        self.deliver()

    def change_plan(self, subscription: Subscription, plan: str) -> None:
        """Change a subscription to another plan, and deliver it.

        Raises:
            NotFound: when the catalogue has no such plan.
            ConfigurationError: when it has no price.
        """
        price = price_of(self.account, self.service.limits.catalogue.plan(plan))
        self.account.change_price(subscription, price)
        self.deliver()

    def set_usage(self, user: str, feature: str, used: int) -> None:
        """A user who has used so much of a feature."""

        async def set_usage() -> None:
            async with self.service.database.session() as session:
                await self.service.limits.set_usage(session, user, feature, used)

        self._running.call(set_usage)

    def usage(self, user: str, feature: str) -> int:
        """How much of a feature the user has used, what is reserved included."""
        return self.entitlements(user).look(feature).used

    def entitlements(self, user: str) -> Entitlements:
        """What the user has now, read from the database."""

        async def read() -> Entitlements:
            async with self.service.database.reading() as session:
                return await self.service.limits.load(user, session)

        return self._running.call(read)

    def close(self) -> None:
        """Close the client; the application is stopped by whoever started it."""
        self._running.call(self._client.aclose)
