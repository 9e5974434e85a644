"""A wrong value in any one place of a signed event harms no other event."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from app.simulator import NEW, OLD, Account, render_event

from .helpers import NESTED, NOW, numbers, post_all, service

pytestmark = pytest.mark.postgresql_in_long


def payloads() -> list[dict[str, Any]]:
    """One true event for each type that is handled, in both shapes."""
    account = Account(7, start=NOW - 86_400 * 60)
    subscription = account.create_subscription(account.create_customer("ada@example.com", user_id="ada"))
    account.complete_checkout(subscription, client_reference_id="ada")
    account.renew(subscription)
    rendered = [render_event(event, shape) for event in account.events for shape in (NEW, OLD)]
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for number, payload in enumerate(rendered):
        found.setdefault((payload["data"]["object"]["object"], number % 2), payload)
    return list(found.values())


def types_of(kind: str) -> str:
    """A handled type for an object of this kind."""
    names = {"subscription": "customer.subscription.updated", "invoice": "invoice.paid"}
    return names.get(kind, "checkout.session.completed" if "checkout" in kind else "customer.updated")


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a payload, also those inside."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths(entry, (*path, key))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from paths(entry, (*path, number))


def replaced(payload: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """A copy with another value in one place."""
    changed = copy.deepcopy(payload)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    1.5,
    1e308,
    "",
    "text",
    "x" * 10_000,
    "\x00",
    "a\nb\x1b[31m",
    "\u202e\u200b\ufeff\U000e0001",
    "𝕊𝕦𝕓\u0301" * 80,
    "'; DROP TABLE billing_event; --",
    [],
    [None],
    [[]],
    {},
    {"id": None},
    {"id": {"id": "x"}},
    {"data": "text"},
    {"data": [None, 1, [], {}]},
    {"": {"": {}}},
    NESTED,
]


@pytest.mark.parametrize(
    "step", [25, pytest.param(5, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep])]
)
@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: str(payload["data"]["object"]["object"]))
@pytest.mark.rest_in_long(3)
async def test_a_wrong_value_in_any_one_place_is_taken_and_harms_no_other_event(
    database_url: str, payload: dict[str, Any], step: int
) -> None:
    payload |= {"type": types_of(payload["data"]["object"]["object"])}
    places = sorted(set(paths(payload)), key=str)
    async with service(database_url) as client:
        for start, wrong in enumerate(WRONG):
            # Each value comes to some places; its neighbours, which are like it, to the others.
            bodies = []
            for place in places[start % step :: step]:
                changed = replaced(payload, place, wrong)
                if place != ("id",):
                    changed["id"] = f"evt_{next(numbers)}"
                bodies.append(orjson.dumps(changed))
            answers = await post_all(client, bodies)
            assert {answer.status_code for answer in answers} <= {200}, (wrong, answers)
        assert (await client.get("/internal/events")).status_code == 200
