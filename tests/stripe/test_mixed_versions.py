"""Changes of one second that came in two API versions, from two endpoints of one account."""

import itertools
import random
from typing import Any

import pytest

from app.stripe.events import StripeEvent
from app.stripe.ordering import judge

SECOND = 1_893_456_000
MONTH = 30 * 86_400
OLD, NEW = "2024-06-20", "2025-10-29.clover"

Json = dict[str, Any]


def rendered(version: str, status: str, quantity: int, cancel: bool = False) -> Json:
    """The same subscription as each version shows it: with its period, or with that of its item."""
    period = {"current_period_start": SECOND, "current_period_end": SECOND + MONTH}
    recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    price = {"id": "price_1", "object": "price", "product": "prod_1", "recurring": recurring}
    item = {"id": "si_1", "object": "subscription_item", "price": price, "quantity": quantity}
    content = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": status,
        "created": SECOND,
        "start_date": SECOND,
        "billing_cycle_anchor": SECOND,
        "cancel_at_period_end": cancel,
        "metadata": {},
    }
    if version == OLD:
        return content | period | {"quantity": quantity, "items": {"object": "list", "data": [item]}}
    return content | {"items": {"object": "list", "data": [item | period]}}


def told(history: list[tuple[Any, ...]], versions: tuple[str, ...], first: str) -> list[StripeEvent]:
    """The events of a history: one before the second, in the version `first`, and the steps within it."""
    events = [event("evt_9", first, rendered(first, *history[0]), at=SECOND - 5)]
    for number, (before, after, version) in enumerate(
        zip(history, history[1:], versions, strict=False), start=1
    ):
        was, now = rendered(version, *before), rendered(version, *after)
        previous = {key: was.get(key) for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
        events.append(event(f"evt_{7 - number}", version, now, previous))
    return events


def event(
    id: str, version: str, content: Json, previous: Json | None = None, at: int = SECOND
) -> StripeEvent:
    kind = "customer.subscription.updated"
    return StripeEvent(id, kind, at, content, previous, api_version=version)


HISTORIES: dict[str, list[tuple[Any, ...]]] = {
    "a chain": [("active", 1), ("active", 3), ("active", 3, True), ("past_due", 3, True)],
    "a circle": [("active", 1), ("active", 3), ("active", 1)],
    "a way back and on": [("active", 1), ("active", 2), ("active", 1), ("active", 5)],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_newest_state_is_found_in_whichever_versions_the_steps_came(name: str) -> None:
    history = HISTORIES[name]
    status, quantity, *_ = history[-1]
    for versions in itertools.product((OLD, NEW), repeat=len(history) - 1):
        for first in (OLD, NEW):
            events = told(history, versions, first)
            for seed in range(3):
                random.Random(seed).shuffle(events)
                found = judge(events)
                item = found.newest.object["items"]["data"][0]
                assert (found.newest.object["status"], item["quantity"]) == (status, quantity), versions
                assert found.certain, versions


def test_an_object_without_a_customer_leaves_it_open() -> None:
    events = told(HISTORIES["a chain"], (OLD, NEW, OLD), NEW)
    for each in events:
        del each.object["customer"]
    assert not judge(events).certain
