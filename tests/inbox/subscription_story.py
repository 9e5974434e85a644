"""One subscription's life at Stripe, told as events with true `previous_attributes`."""

import copy
import itertools
from typing import Any

_numbers = itertools.count(1)


def price_item(
    price: str, start: int, end: int, *, interval: str = "month", quantity: int = 1
) -> dict[str, Any]:
    """An item of a subscription, as Stripe shows it since 2025-03-31.basil."""
    return {
        "id": f"si_{price}",
        "object": "subscription_item",
        "price": {
            "id": price,
            "object": "price",
            "product": f"prod_{price}",
            "unit_amount": 900,
            "currency": "usd",
            "recurring": {"interval": interval, "interval_count": 1, "usage_type": "licensed"},
        },
        "quantity": quantity,
        "current_period_start": start,
        "current_period_end": end,
    }


class SubscriptionStory:
    """Collects the events of a subscription of `user`; ids are its own. Times in Unix seconds."""

    def __init__(self, user: str, *items: dict[str, Any], at: int, **values: Any) -> None:
        self.user, self.events = user, [_customer(user, at)]
        self.content: dict[str, Any] = {
            "id": f"sub_{user}",
            "object": "subscription",
            "customer": f"cus_{user}",
            "status": "active",
            "created": at,
            "start_date": at,
            "billing_cycle_anchor": at,
            "trial_end": None,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "ended_at": None,
            "status_details": None,
            "metadata": {},
            "livemode": False,
            "items": {"object": "list", "data": list(items), "has_more": False},
        } | values
        self._tell("customer.subscription.created", at)

    def change(self, at: int, *items: dict[str, Any], kind: str = "updated", **values: Any) -> None:
        """The subscription changes; with items, those are its items from then on."""
        before = copy.deepcopy(self.content)
        self.content |= values
        if items:
            self.content["items"] = {"object": "list", "data": list(items), "has_more": False}
        previous = {key: before[key] for key in before if before[key] != self.content[key]}
        self._tell(f"customer.subscription.{kind}", at, previous if kind == "updated" else None)

    def invoice(self, at: int, id: str, *lines: dict[str, Any]) -> None:
        """An invoice of the subscription is paid."""
        subscription = self.content["id"]
        for line in lines:
            line["parent"]["subscription_item_details"]["subscription"] = subscription
        content = {
            "id": f"{id}_{self.user}",
            "object": "invoice",
            "customer": self.content["customer"],
            "status": "paid",
            "attempt_count": 1,
            "created": at,
            "livemode": False,
            "parent": {"subscription_details": {"subscription": subscription}},
            "lines": {"object": "list", "data": list(lines), "has_more": False},
        }
        self.events.append(told("invoice.paid", at, content))

    def end(self, at: int) -> None:
        """The subscription is canceled."""
        self.change(at, kind="deleted", status="canceled", ended_at=at, canceled_at=at)

    def _tell(self, kind: str, at: int, previous: dict[str, Any] | None = None) -> None:
        self.events.append(told(kind, at, self.content, previous))


def _customer(user: str, at: int) -> dict[str, Any]:
    content = {"id": f"cus_{user}", "object": "customer", "email": None, "metadata": {"user_id": user}}
    return told("customer.created", at, content, None)


def told(
    kind: str, at: int, content: dict[str, Any], previous: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An event about an object, of the second `at` (Unix seconds)."""
    data: dict[str, Any] = {"object": copy.deepcopy(content)}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": f"evt_story_{next(_numbers)}",
        "object": "event",
        "api_version": "2025-10-29.clover",
        "created": at,
        "type": kind,
        "livemode": False,
        "data": data,
    }
