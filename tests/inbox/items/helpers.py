"""Subscriptions with several items, told in every order."""

import random
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

from app.simulator import DAY

from ...client import Client
from ..subscription_story import SubscriptionStory, price_item

PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
seats = { kind = "allocated" }
sso = { kind = "boolean" }
[plans.free]
projects = 3
[plans.pro]
prices = ["pro", "pro_yearly"]
lookup_keys = ["pro_monthly"]
products = ["prod_of_pro"]
projects = 100
sso = true
[plans.team]
prices = ["team", "team_yearly", "team_metered"]
projects = 200
seats = { limit = 1, per_unit = true }
[addons.more]
prices = ["more", "more_yearly"]
projects = 50
[ignored]
prices = ["fee"]
"""
NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
START, MONTH, YEAR = NOW - 10 * DAY, 30 * DAY, 365 * DAY
SHUFFLES = 5

Story = SubscriptionStory
Item = dict[str, Any]


def item(price: str, id: str = "", *, interval: str = "month", quantity: int | None = 1, **more: Any) -> Item:
    length = YEAR if interval == "year" else MONTH
    made = price_item(price, START, START + length, interval=interval, quantity=quantity or 0)
    if quantity is None:
        made["price"]["recurring"]["usage_type"] = "metered"
        del made["quantity"]
    return made | ({"id": id} if id else {}) | more


def orders(events: Sequence[Any], seed: str) -> list[list[Any]]:
    """Every order of a few events, some of many; and one in which each comes twice."""
    if len(events) <= 3:
        found = [list(order) for order in permutations(events)]
    else:
        dice = random.Random(seed)
        found = [dice.sample(list(events), len(events)) for _ in range(SHUFFLES)] + [list(events)]
    return [*found, [*reversed(events), *events]]


async def after_each_order(client: Client, tell: Callable[[str], Story]) -> list[dict[str, Any]]:
    """The subscription and what its user has, after the story's events in each of many orders."""
    found = []
    for number, _ in enumerate(orders(tell("count").events, tell.__name__)):
        user = f"{tell.__name__}_{number}".replace("_", "")
        for event in orders(tell(user).events, tell.__name__)[number]:
            assert await client.send(event) in ("processed", "duplicate")
        record = await client.read(f"/internal/subscriptions/sub_{user}")
        found.append(record | {"has": await client.read(f"/internal/users/{user}/entitlements")})
    return found


def limit(found: dict[str, Any], feature: str) -> Any:
    return found["has"]["features"][feature]["value"]


# Paid through.


def line(price: str, id: str, start: int, end: int, amount: int, **details: Any) -> dict[str, Any]:
    of_item = {"subscription_item": id, "proration": False} | details
    return {
        "amount": amount,
        "period": {"start": start, "end": end},
        "parent": {"type": "subscription_item_details", "subscription_item_details": of_item},
        "pricing": {"price_details": {"price": price}},
    }


def yearly_to_monthly(user: str) -> Story:
    changed = START + 5 * DAY
    yearly, monthly = item("pro_yearly", "si_1", interval="year"), item("pro", "si_1")
    story = Story(user, yearly, at=START)
    story.invoice(START, "in_1", line("pro_yearly", "si_1", START, START + YEAR, 20_000))
    story.change(changed, monthly)
    story.invoice(
        changed,
        "in_2",
        line("pro_yearly", "si_1", changed, START + YEAR, -18_000, proration=True),
        line("pro_yearly", "si_1", changed, START + YEAR, -18_000),
        line("pro", "si_1", START, START + MONTH, 2_000),
    )
    return story
