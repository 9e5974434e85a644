"""Hand-written Stripe objects and their events, apart from the simulator: a history told step by step.

Times are Unix seconds, amounts minor currency units.
"""

import copy
import itertools
import random
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

HOUR, DAY = 3600, 86_400
MONTH, YEAR = 30 * DAY, 365 * DAY
_accounts = itertools.count(1)


def item(
    price: str, start: int, end: int, *, quantity: int = 1, interval: str = "month", **more: Any
) -> Json:
    """One item of a subscription, with a period of its own."""
    return {
        "id": f"si_{price}",
        "object": "subscription_item",
        "price": {
            "id": price,
            "object": "price",
            "product": f"prod_{price}",
            "unit_amount": 2000,
            "currency": "eur",
            "recurring": {"interval": interval, "interval_count": 1, "usage_type": "licensed"},
        },
        "quantity": quantity,
        "current_period_start": start,
        "current_period_end": end,
    } | more


class Story:
    """The events of one customer and one subscription, in the order in which they happened."""

    def __init__(self, at: int, *, user: str | None = None, items: Sequence[Json] = (), **state: Any) -> None:
        number = next(_accounts)
        self.events: list[Json] = []
        self.user = user or f"user_{number}"
        self.id, self.customer, self._name = f"sub_{number}", f"cus_{number}", f"story{number}"
        self.invoices: dict[str, Json] = {}
        self.object: Json = {
            "id": self.id,
            "object": "subscription",
            "customer": self.customer,
            "status": "active",
            "created": at,
            "start_date": at,
            "billing_cycle_anchor": at,
            "items": listed(items or [item("price_team", at, at + MONTH)]),
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "ended_at": None,
            "trial_end": None,
            "pause_collection": None,
            "status_details": None,
            "metadata": {},
            "livemode": False,
        } | state
        self.emit("customer.created", {"id": self.customer, "object": "customer", **self._of_user()}, at)
        self.emit("customer.subscription.created", self.object, at)

    def _of_user(self) -> Json:
        return {"email": f"{self.user}@example.com", "metadata": {"user_id": self.user}, "livemode": False}

    def emit(self, type_: str, content: Json, at: int, previous: Json | None = None) -> Json:
        data: Json = {"object": copy.deepcopy(content)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {
            "id": f"evt_{self._name}_{len(self.events):03}",
            "object": "event",
            "type": type_,
            "created": at,
            "livemode": False,
            "api_version": "2026-10-28.endive",
            "data": data,
        }
        self.events.append(event)
        return event

    def change(self, at: int, type_: str = "customer.subscription.updated", **changes: Any) -> Json:
        """A change of the subscription; `.updated` says what was before, as Stripe's does."""
        before = {name: copy.deepcopy(self.object.get(name)) for name in changes}
        self.object |= changes
        previous = {name: value for name, value in before.items() if value != self.object[name]}
        return self.emit(type_, self.object, at, previous if type_.endswith(".updated") else None)

    def renew(self, at: int, **changes: Any) -> Json:
        """The next period of every item, a month each."""
        items = [
            entry | {"current_period_start": at, "current_period_end": at + MONTH}
            for entry in self.object["items"]["data"]
        ]
        return self.change(at, items=listed(items), **changes)

    def pause(self, at: int, cause: str) -> None:
        """Stripe sends two events of one second."""
        details = {"paused": {"type": "subscription", "subscription": {"type": cause}, "transitioned_at": at}}
        self.change(at, status="paused", status_details=details)
        self.emit("customer.subscription.paused", self.object, at)

    def resume(self, at: int, status: str = "active") -> None:
        self.change(at, status=status, status_details=None)
        self.emit("customer.subscription.resumed", self.object, at)

    def invoice(self, type_: str, at: int, *, number: int = 1, **state: Any) -> Json:
        """An invoice as it is from now on; what is not told again stays."""
        id = f"in_{self._name}_{number}"
        known = self.invoices.get(id) or {
            "id": id,
            "object": "invoice",
            "customer": self.customer,
            "status": "open",
            "created": at,
            "amount_due": 2000,
            "amount_paid": 0,
            "amount_remaining": 2000,
            "attempt_count": 0,
            "currency": "eur",
            "billing_reason": "subscription_cycle",
            "hosted_invoice_url": f"https://invoice.example.com/{id}",
            "livemode": False,
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": self.id},
            },
            "lines": listed([]),
        }
        state = state | ({"amount_remaining": 0} if state.get("status") in ("paid", "void") else {})
        self.invoices[id] = known | state
        return self.emit(type_, self.invoices[id], at)

    def dropped(self, *positions: int) -> "Story":
        """The same without these events: they were lost on the way."""
        self.events = [event for number, event in enumerate(self.events) if number not in positions]
        return self


def listed(entries: Sequence[Json], has_more: bool = False) -> Json:
    return {"object": "list", "data": list(entries), "has_more": has_more}


def orders(events: Sequence[Json], seeds: int = 3) -> list[list[Json]]:
    """As they happened, backwards, and shuffled with half of them twice."""
    found = [list(events), list(reversed(events))]
    for seed in range(seeds):
        rng = random.Random(seed)
        shuffled = [*events, *rng.sample(list(events), len(events) // 2)]
        rng.shuffle(shuffled)
        found.append(shuffled)
    return found
