"""A catalogue, a clock and usage for the tests of limits."""

from typing import Any

from app import limits
from app.simulator import Account, Subscription

from ..client import Client

START = 1_893_456_000
PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
storage_bytes = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
tokens = { kind = "consumable", reset = "period" }
max_upload_mb = { kind = "static" }
sso = { kind = "boolean" }
[plans.free]
projects = 3
storage_bytes = "1 GiB"
api_calls = 5
[plans.team]
prices = ["price_team"]
projects = { limit = 10, per_unit = true }
storage_bytes = "unlimited"
api_calls = { limit = 100, soft = true }
tokens = 1000
max_upload_mb = 100
sso = true
[addons.more_projects]
prices = ["price_more_projects"]
projects = 50
"""


class Clock:
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


async def consume(
    client: Client, user: str, feature: str, amount: int = 1, **options: Any
) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        taken: limits.Decision = await limits.consume(session, user, feature, amount, **options)
        return taken


async def release(
    client: Client, user: str, feature: str, amount: int = 1, **options: Any
) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        released: limits.Decision = await limits.release(session, user, feature, amount, **options)
        return released


async def subscribe(
    client: Client, clock: Clock, user: str = "ada", **options: Any
) -> tuple[Account, Subscription]:
    account = Account(len(user), start=int(clock.now))
    subscription = account.create_subscription(account.create_customer(user_id=user), "price_team", **options)
    await client.deliver(*account.events)
    return account, subscription
