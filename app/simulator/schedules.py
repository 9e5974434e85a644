"""Subscription schedules: phases, each with its items, that begin at a time ("Subscription schedules")."""

from typing import Any

from .changes import Changes, Proration
from .manual_invoices import ManualInvoices
from .model import Item, Record, Subscription
from .shapes import Json

ACTIVE, ENDED = ("not_started", "active"), ("completed", "released", "canceled")


class Schedules(Changes, ManualInvoices):
    """What an account does with schedules. Their phases begin with the renewal at which they are due."""

    def schedule_of(self, subscription: Subscription) -> Record | None:
        return self.record("subscription_schedule", subscription.schedule)

    def attach_schedule(self, record: Record, subscription: Subscription) -> None:
        """Make a schedule the one that manages the subscription from now on."""
        record.content["subscription"] = subscription.id
        with self._update("customer.subscription.updated", subscription):
            subscription.schedule = record.id

    def release_schedule(self, record: Record, status: str = "released") -> None:
        """The subscription goes on as it is, without the schedule; `canceled` says it was called off."""
        subscription = self.subscriptions.get(record.content["subscription"] or "")
        at = {"released": "released_at", "canceled": "canceled_at", "completed": "completed_at"}[status]
        released = {"released_subscription": record.content["subscription"], "subscription": None}
        members = {"status": status, at: self.now, "current_phase": None}
        self.change_record(record, members | (released if status == "released" else {}))
        self._emit(f"subscription_schedule.{status}", record)
        if subscription is not None:
            with self._update("customer.subscription.updated", subscription):
                subscription.schedule = None

    def begin_due_phase(self, subscription: Subscription) -> None:
        """Give the subscription the items of the phase that is due at the account's time."""
        record = self.schedule_of(subscription)
        if record is None:
            return
        due = [phase for phase in record.content["phases"] if phase["start_date"] <= self.now]
        if due and record.content["current_phase"] != _span(due[-1]):
            subscription.items = [self._phase_item(subscription, item) for item in due[-1]["items"]]
            self._take_discounts(subscription, due[-1])
            self.change_record(
                record, {"current_phase": _span(due[-1]), "status": "active"}, "subscription_schedule"
            )
        self._end_when_last_is_over(record, subscription)

    def follow_phase(self, record: Record, phase: Json, proration: Proration) -> None:
        """Make the subscription what the phase that runs now says, after an update of the schedule."""
        subscription = self.subscriptions.get(record.content["subscription"] or "")
        if subscription is None:
            return
        wanted = {item["price"]: item["quantity"] for item in phase["items"]}
        with self._update("customer.subscription.updated", subscription):
            self._take_discounts(subscription, phase)
            if wanted != {item.price.id: item.quantity for item in subscription.items}:
                items = [self._phase_item(subscription, item) for item in phase["items"]]
                self.apply_items(subscription, items, proration)

    def _take_discounts(self, subscription: Subscription, phase: Json) -> None:
        """The subscription keeps those of its discounts that the phase names."""
        named = {each["discount"] for each in phase["discounts"]}
        subscription.discounts = [each for each in subscription.discounts if each.id in named]

    def advance(self, seconds: int) -> None:
        """Let time pass. A schedule whose last phase is over releases its subscription by itself."""
        super().advance(seconds)
        for subscription in list(self.subscriptions.values()):
            record = self.schedule_of(subscription)
            if record is not None and record.content["current_phase"] == _span(record.content["phases"][-1]):
                with self._update("customer.subscription.updated", subscription):
                    self._end_when_last_is_over(record, subscription)

    def _end_when_last_is_over(self, record: Record, subscription: Subscription) -> None:
        """After the last phase the subscription goes on by itself, unless it is to be canceled."""
        end = record.content["phases"][-1]["end_date"]
        if end is not None and end <= self.now:
            self.change_record(record, {"status": "released", "released_at": self.now, "current_phase": None})
            self._emit("subscription_schedule.released", record)
            subscription.schedule = None

    def _phase_item(self, subscription: Subscription, wanted: Json) -> Item:
        """The item of a phase; an item of the subscription that has its price or its place goes on."""
        price, first = self.prices[wanted["price"]], subscription.items[0]
        old = next((item for item in subscription.items if item.price.id == price.id), None)
        start, end = first.current_period_start, first.current_period_end
        id = old.id if old is not None else first.id if len(subscription.items) == 1 else self.new_id("si")
        created, metadata = old.created if old else self.now, dict(wanted["metadata"])
        return Item(id, price, wanted["quantity"], created, start, end, metadata)


def _span(phase: Any) -> Json:
    return {"end_date": phase["end_date"], "start_date": phase["start_date"]}
