"""Random lives of customers and subscriptions, as Stripe would tell of them: what is so, and the events.

The state here is what Stripe would show; the events follow from its steps. Nothing of the service is used.
Times are Unix seconds.
"""

import copy
import random
from dataclasses import dataclass, field
from typing import Any

from ..story import MONTH, YEAR, item, listed

Json = dict[str, Any]
NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
PRICES = {
    "price_pro_m": MONTH,
    "price_pro_y": YEAR,
    "price_team_m": MONTH,
    "price_team_y": YEAR,
    "price_more_m": MONTH,
    "price_more_y": YEAR,
}
PLAN_PRICES = [price for price in PRICES if "more" not in price]


@dataclass
class Bought:
    """One item of a subscription."""

    id: str
    price: str
    quantity: int
    start: int
    end: int


@dataclass
class Life:
    """One subscription as it is."""

    id: str
    customer: "Payer"
    born: int
    items: list[Bought]
    status: str = "active"
    named_user: str | None = None
    ever_named: bool = False
    """Whether its metadata ever named a user: then the session's claim is ignored."""
    session_user: str | None = None
    """Whom the metadata of the checkout session names that created it."""
    collection: str | None = None
    """What becomes of its invoices while their collection is paused."""
    past_due_since: int | None = None
    ends_with_period: bool = False
    pause_cause: str | None = None
    paused_from: str | None = None
    ended_at: int | None = None
    note: int = 0
    invoices: int = 0
    changed_at: int = 0

    def as_stripe_shows_it(self) -> Json:
        ends = min(each.end for each in self.items) if self.ends_with_period else None
        collection = {"behavior": self.collection, "resumes_at": None}
        details = {"paused": {"type": "subscription", "subscription": {"type": self.pause_cause}}}
        return {
            "id": self.id,
            "object": "subscription",
            "customer": self.customer.id,
            "status": self.status,
            "created": self.born,
            "start_date": self.born,
            "billing_cycle_anchor": self.born,
            "items": listed(
                [
                    item(
                        each.price,
                        each.start,
                        each.end,
                        id=each.id,
                        quantity=each.quantity,
                        interval="year" if PRICES[each.price] == YEAR else "month",
                    )
                    for each in self.items
                ]
            ),
            "cancel_at": ends,
            "cancel_at_period_end": self.ends_with_period,
            "canceled_at": self.ended_at,
            "ended_at": self.ended_at,
            "trial_end": self.items[0].end if self.status == "trialing" else None,
            "pause_collection": collection if self.collection else None,
            "status_details": details if self.pause_cause else None,
            "metadata": {"note": str(self.note)} | ({"user_id": self.named_user} if self.named_user else {}),
            "livemode": False,
        }


@dataclass
class Payer:
    """A customer at Stripe, and the user that its metadata names."""

    id: str
    user: str
    note: int = 0

    def as_stripe_shows_it(self) -> Json:
        metadata = {"user_id": self.user, "note": str(self.note)}
        return {
            "id": self.id,
            "object": "customer",
            "metadata": metadata,
            "email": f"{self.id}@example.com",
            "livemode": False,
        }


@dataclass
class World:
    """What there is, and the events about it."""

    rng: random.Random
    payers: list[Payer] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    users: tuple[str, ...] = ()
    name: str = ""
    at: int = NOW

    def tell(self, kind: str, now: Json, at: int, before: Json | None = None) -> None:
        data: Json = {"object": copy.deepcopy(now)}
        if before is not None:
            data["previous_attributes"] = {
                key: before.get(key) for key in {*before, *now} if before.get(key) != now.get(key)
            }
        self.events.append(
            {
                "id": f"evt_{self.name}_{len(self.events):03}",
                "object": "event",
                "type": kind,
                "created": at,
                "livemode": False,
                "api_version": "2026-10-28.endive",
                "data": data,
            }
        )

    def change(self, life: Life, at: int, **changes: Any) -> None:
        """Change a subscription and tell of it. Every state is another one, as `note` counts up."""
        before, life.changed_at = life.as_stripe_shows_it(), at
        for name, value in {"note": life.note + 1, **changes}.items():
            setattr(life, name, value)
        self.tell("customer.subscription.updated", life.as_stripe_shows_it(), at, before)
