"""Small events written by hand, about one customer, and their delivery in every order.

Ids end in the story's tag, so that one database takes many orders of the same story.
"""

import itertools
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from ..client import Client

T = 1_893_456_000
DAY = 86_400
MONTH = 30 * DAY

Json = dict[str, Any]


class Story:
    """The events of one customer, `cus_<tag>`, in the order in which they happened."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.events: list[Json] = []

    def id(self, name: str) -> str:
        return f"{name}_{self.tag}"

    @property
    def customer_id(self) -> str:
        return self.id("cus")

    def _event(self, type_: str, content: Json, at: int, previous: Json | None) -> None:
        data: Json = {"object": content}
        if previous is not None:
            data["previous_attributes"] = previous
        self.events.append(
            {
                "id": f"evt_{len(self.events)}_{self.tag}",
                "object": "event",
                "type": type_,
                "created": T + at,
                "livemode": False,
                "data": data,
            }
        )

    def customer(self, at: int = 0, type_: str = "customer.updated", **content: Any) -> None:
        whole = {"id": self.customer_id, "object": "customer", "livemode": False, "metadata": {}}
        self._event(type_, whole | {"email": f"{self.tag}@example.com"} | content, at, None)

    def subscription(
        self,
        name: str,
        at: int = 0,
        *,
        type_: str = "customer.subscription.updated",
        price: str = "price_team",
        quantity: int = 1,
        previous: Json | None = None,
        **content: Any,
    ) -> str:
        """A snapshot of `sub<name>_<tag>`, active for a month since `T`; its id."""
        subscription_id = self.id(f"sub{name}")
        period = {"current_period_start": T, "current_period_end": T + MONTH}
        item = {"id": f"si_{name}_{self.tag}", "object": "subscription_item", "quantity": quantity, **period}
        recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
        item["price"] = {"id": price, "object": "price", "currency": "eur", "recurring": recurring}
        whole = {
            "id": subscription_id,
            "object": "subscription",
            "customer": self.customer_id,
            "status": "active",
            "created": T,
            "start_date": T,
            "livemode": False,
            "metadata": {},
            "items": {"object": "list", "data": [item], "has_more": False},
        }
        self._event(type_, whole | content, at, previous)
        return subscription_id

    def session(self, name: str | None, at: int = 0, **content: Any) -> None:
        """The checkout session in which `sub<name>_<tag>` was bought; None: another purchase."""
        whole: Json = {
            "id": self.id(f"cs{name or ''}"),
            "object": "checkout.session",
            "customer": self.customer_id,
            "subscription": self.id(f"sub{name}") if name is not None else None,
            "status": "complete",
            "payment_status": "paid",
            "metadata": {},
            "client_reference_id": None,
        }
        self._event("checkout.session.completed", whole | content, at, None)

    def invoice(self, name: str, at: int = 0, *, type_: str = "invoice.finalized", **content: Any) -> None:
        """An open invoice for `sub<name>_<tag>`, as it is at that moment."""
        whole = {
            "id": self.id(f"in{name}"),
            "object": "invoice",
            "customer": self.customer_id,
            "status": "open",
            "amount_due": 900,
            "amount_remaining": 900,
            "currency": "eur",
            "attempt_count": 0,
            "created": T + at,
            "hosted_invoice_url": f"https://invoice.example.com/{name}_{self.tag}",
            "parent": {"subscription_details": {"subscription": self.id(f"sub{name}")}},
            "lines": {"object": "list", "data": []},
        }
        self._event(type_, whole | content, at, None)

    def open_invoice(self, name: str, at: int = 0) -> None:
        """An invoice for `sub<name>_<tag>` whose payment failed."""
        self.invoice(name, at, type_="invoice.payment_failed", attempt_count=1)


Build = Callable[[str], Story]
Check = Callable[[Story], Awaitable[None]]


in_some_orders = pytest.mark.parametrize(
    "most", [pytest.param(6, marks=pytest.mark.postgresql_in_deep), pytest.param(24, marks=pytest.mark.long)]
)
"""A few orders in `make test`; up to four events in every order, on both databases, in `make test-long`."""


async def in_every_order(client: Client, build: Build, check: Check, *, most: int) -> None:
    """Deliver the story's events in every order (where that are more than `most`, in so many, always the same
    ones), each time with some of them twice, and check what there is then."""
    for number, order in enumerate(_orders(len(build("").events), most)):
        story = build(f"{number}")
        twice = [event for event in story.events if random.Random(number).random() < 0.3]
        for event in [*(story.events[place] for place in order), *twice]:
            assert await client.send(event) in ("processed", "duplicate")
        await check(story)


def _orders(count: int, most: int) -> Iterator[Sequence[int]]:
    if math.factorial(count) <= most:
        yield from itertools.permutations(range(count))
        return
    yield from (range(count), range(count)[::-1])
    shuffler = random.Random(count)
    for _ in range(most - 2):
        yield shuffler.sample(range(count), count)


async def users_of(client: Client, story: Story, names: Sequence[str]) -> Mapping[str, str | None]:
    """The user of each of these subscriptions, without the story's tag."""
    found = {}
    for name in names:
        stored = await client.read(f"/internal/subscriptions/{story.id(f'sub{name}')}")
        user_id: str | None = stored["user_id"]
        found[name] = user_id.removesuffix(f"_{story.tag}") if user_id is not None else None
    return found
