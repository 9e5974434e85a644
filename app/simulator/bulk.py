"""A large account, cheaply."""

import random

from .ledger import Ledger
from .model import DAY, Customer, Item, Price, Subscription

STATUSES = {"active": 80, "trialing": 5, "past_due": 4, "unpaid": 1, "paused": 1, "canceled": 9}
"""Of a hundred subscriptions."""

YEARS = 3 * 365 * DAY


class Bulk(Ledger):
    """An account that had a life before this program."""

    def bulk(self, n: int, seed: int = 1) -> None:
        """Add `n` customers with a subscription each, made over the three years before now.

        It happened longer ago than Stripe's events reach, so there are no events of it, and no invoices. The
        same seed gives the same objects, and what the account makes next stays what it was.
        """
        rng = random.Random(seed)
        prices, statuses = list(self.prices.values()), rng.choices([*STATUSES], [*STATUSES.values()], k=n)
        for number, status in enumerate(statuses):
            created = self.now - YEARS + YEARS * number // n
            customer = _customer(rng, number, created)
            self.customers[customer.id] = customer
            subscription = _subscription(rng, customer.id, created, self.now, status, rng.choice(prices))
            self.subscriptions[subscription.id] = subscription


def _id(rng: random.Random, prefix: str) -> str:
    return f"{prefix}_1{rng.getrandbits(92):023x}"


def _customer(rng: random.Random, number: int, created: int) -> Customer:
    user_id = f"user_{number}"
    return Customer(_id(rng, "cus"), created, f"{user_id}@example.com", {"user_id": user_id})


def _subscription(
    rng: random.Random, customer: str, created: int, now: int, status: str, price: Price
) -> Subscription:
    start = now - (now - created) % price.seconds
    item = Item(_id(rng, "si"), price, rng.randint(1, 20), created, start, start + price.seconds)
    subscription = Subscription(_id(rng, "sub"), customer, status, created, created, [item])
    if status == "trialing":
        subscription.trial_start, subscription.trial_end = start, item.current_period_end
    elif status == "canceled":
        subscription.canceled_at = subscription.ended_at = start
        subscription.cancellation_reason = "cancellation_requested"
    return subscription
