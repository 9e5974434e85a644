"""One user of the application under test, with a customer at the simulator."""

import asyncio
import inspect
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import select
from sqlmodel import col

from ...db.models import Usage
from ...limits import Limits
from ...service import Service
from ...simulator import Account, Subscription, signed_event
from ..adapter import Adapter
from ..portal import RunningApp
from ..subscribers import customer_of, price_of, subscribe
from ..trace import Place, Trace, place_of, traced
from .broken import BrokenPromise
from .tiers import Tier

PREFIX = "conformance-"
"""What the names of all users of the test begin with."""
MOST_CREATED = 40
"""How many things are really created to reach a limit. For more, usage is set beforehand."""
ANSWER_SECONDS = 120.0
"""Then a request hangs: far longer than any takes on a loaded machine."""
END_SECONDS = 5.0
"""How long it then may take to end."""
MOST_SHOWN = 200
"""Characters of an answer in a report."""


@dataclass(frozen=True, slots=True)
class State:
    """What there is of a user, in the application and in the service."""

    things: int
    used: int
    """In things, without what is held and what was set beforehand."""
    may_create: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request of the application, and what it did."""

    response: httpx.Response
    trace: Trace

    @property
    def succeeded(self) -> bool:
        return self.response.is_success

    @property
    def failed(self) -> bool:
        """Whether the application had an error, rather than a denial."""
        return self.response.status_code >= 500

    @property
    def is_busy(self) -> bool:
        """Whether the application asked to come again later, rather than denied."""
        return self.failed or self.response.status_code == httpx.codes.TOO_MANY_REQUESTS

    @property
    def answer(self) -> str:
        """The status and the beginning of the body."""
        return f"{self.response.status_code} {self.response.text[:MOST_SHOWN]}".strip()


class User:
    """All that is done is done in the application's event loop."""

    def __init__(self, running: RunningApp, adapter: Adapter) -> None:
        self.name = PREFIX + uuid.uuid4().hex[:12]
        self.id = self.name
        """By which the application names the user to the limits."""
        self.adapter = adapter
        self.things: list[str] = []
        self.subscription: Subscription | None = None
        self.others: list[User] = []
        self._client = running.client()
        self._running = running
        self._beforehand = 0
        self._seen: State | None = None
        service = self.service
        # An instance of its own: what the application's process remembers is not touched by looking.
        self._limits = Limits(service.database, service.limits.catalogue, service.clock)
        self.account = Account(int(uuid.uuid4().int % 2**31), self.now, bool(service.settings.livemode))
        self._delivered = 0

    @property
    def service(self) -> Service:
        service: Service = self._running.service
        return service

    @property
    def now(self) -> int:
        return int(self.service.clock())

    async def enter(self) -> None:
        """Log in."""
        self.id = await _result(self.adapter.act_as(self._client, self.name)) or self.name

    async def another(self) -> "User":
        """Another user of the same application, logged in."""
        other = User(self._running, self.adapter)
        self.others.append(other)
        await other.enter()
        return other

    async def leave(self) -> None:
        for other in self.others:
            await other.leave()
        await self._client.aclose()

    # Stripe

    async def deliver(self) -> None:
        """Bring the account's clock up to now, and deliver what happened since the last time."""
        self._seen = None
        secret = self.service.settings.signing_secrets[0]
        new = self.account.events[self._delivered :]
        self._delivered = len(self.account.events)
        for event in new:
            body, headers = signed_event(event, secret, self.now, livemode=self.account.livemode)
            path = self._running.webhook_path
            answer = await self._client.post(path, content=body, headers=headers)
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"{event.type} was refused: {answer.status_code} {answer.text}")

    async def subscribe(
        self, tier: Tier, *, ago: int = 0, periods: int = 0, trial_days: int = 0, paid: bool | None = True
    ) -> None:
        """Subscribe, so many whole periods and seconds ago. Without a plan nothing happens."""
        if tier.plan is None:
            return
        service = self.service
        price = price_of(self.account, service.limits.catalogue.plan(tier.plan))
        self.account.now = self.now - ago - periods * self.account.prices[price].seconds
        email = f"{self.name}@example.com"
        customer = customer_of(self.account, self.id, service.settings.link_metadata_keys, email=email)
        self.subscription = subscribe(
            self.account,
            service.limits.catalogue,
            customer,
            tier.plan,
            quantity=tier.quantity,
            trial_days=trial_days,
            paid=paid,
        )
        await self.deliver()
        self.account.now = max(self.account.now, self.now)

    async def change_to(self, tier: Tier) -> None:
        """Change the subscription to another plan and quantity; not delivered yet."""
        assert self.subscription is not None
        assert tier.plan is not None
        price = price_of(self.account, self.service.limits.catalogue.plan(tier.plan))
        self.account.change_price(self.subscription, price)
        self.account.change_quantity(self.subscription, tier.quantity)

    # The application

    async def create(self, *, fail_from: int | None = None) -> Outcome:
        outcome = await self._request(self.adapter.create(self._client), fail_from)
        if outcome.succeeded:
            self.things.append(self.adapter.id_of(outcome.response))
        return outcome

    async def create_at_once(self, number: int) -> list[Outcome]:
        """So many creations at the same time."""
        return list(await asyncio.gather(*(self.create() for _ in range(number))))

    async def delete(self, id: str, *, fail_from: int | None = None) -> Outcome:
        return await self._request(self.adapter.delete(self._client, id), fail_from)

    async def delete_at_once(self, id: str, number: int) -> list[Outcome]:
        return list(await asyncio.gather(*(self.delete(id) for _ in range(number))))

    async def _request(self, sending: Awaitable[httpx.Response], fail_from: int | None) -> Outcome:
        self._seen = None
        methods = (self.adapter.create, self.adapter.delete)
        trace = Trace(frozenset(each.__code__ for each in methods), fail_from)

        async def traced_request() -> httpx.Response:
            traced.set(trace)
            return await sending

        request = asyncio.create_task(traced_request())
        await asyncio.wait([request], timeout=ANSWER_SECONDS)
        if not request.done():
            request.cancel()
            await asyncio.wait([request], timeout=END_SECONDS)  # a thread may hang on
            last = next((step.place for step in reversed(trace.steps) if step.place), None)
            raise BrokenPromise(
                f"A request got no answer within {ANSWER_SECONDS} seconds.",
                "It waits after the last thing that it did there, perhaps for a lock that it holds itself.",
                last,
            )
        return Outcome(request.result(), trace)

    # What is so

    async def known(self) -> State:
        """What there is now; not read again where nothing was done since it was."""
        return self._seen or await self.look()

    async def look(self) -> State:
        """What there is now, read from the database."""
        feature, amount = self.adapter.feature, self.adapter.amount
        things = await _result(self.adapter.count(self._client))
        async with self.service.database.reading() as session:
            entitlements = await self._limits.load(self.id, session)
            key = (col(Usage.user_id) == self.id) & (col(Usage.feature) == feature)
            used = await (await session.connection()).scalar(select(col(Usage.used)).where(key)) or 0
        decision = entitlements.look(feature, None, amount)
        counted = (used - self._beforehand) // amount
        self._seen = State(things, counted, decision.allowed, decision.reason)
        return self._seen

    async def check(self) -> State:
        """As `look`.

        Raises:
            BrokenPromise: when usage and things differ, with the adapter as the place to look at.
        """
        state = await self.look()
        if state.used != state.things:
            what = f"Usage of {self.adapter.feature} says {state.used}, and there are {state.things}."
            raise BrokenPromise(what, place=self.place_of_adapter())
        return state

    async def use_beforehand(self, things: int) -> None:
        """As if so many things were there already, where that is too many to create them."""
        if things <= MOST_CREATED:
            return
        self._seen = None
        self._beforehand = things * self.adapter.amount
        async with self.service.database.session() as session:
            await self.service.limits.set_usage(session, self.id, self.adapter.feature, self._beforehand)

    def place_of_adapter(self) -> Place | None:
        return place_of(type(self.adapter).count)


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
