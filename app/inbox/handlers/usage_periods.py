"""Which events opened a usage period of a subscription, and which did not: see `entitlements.cycles`."""

from collections.abc import Mapping
from typing import Any

from ...db.models import Subscription
from ...entitlements.cycles import Fact, merged
from ...plans import pause_cause
from ...stripe.events import StripeEvent
from ...stripe.objects import ENDED, Values, as_seconds


def with_period_changes(
    event: StripeEvent,
    values: Values,
    before: Values | None,
    subscription: Subscription,
    *,
    is_fetched: bool,
) -> list[Fact] | None:
    """The record's facts with those of this event, in whatever order events come; None where there are none.

    `values` are the columns that the event's object gives, `before` those of before the event where it says
    so. `is_fetched`: the object was fetched from Stripe, and no event sent it.
    """
    found = _first_period(event, values)
    if is_fetched:
        found += _since_the_record(values, subscription.__dict__, event.created)
    elif before is not None:
        found += _step(before, values, event.created)
    elif event.type == "customer.subscription.resumed":
        found += _resumed(values, event.created)
    return merged(subscription.period_changes, found) or None


def _first_period(event: StripeEvent, values: Values) -> list[Fact]:
    """The first period opens when the subscription is made, however far back it is dated."""
    start, created = values["current_period_start"], as_seconds(event.object.get("created"))
    if start is None or created is None or created <= start:
        return []
    return [{"start": start, "opened": created}]


def _step(before: Mapping[str, Any], after: Mapping[str, Any], at: int) -> list[Fact]:
    """What one change says; a renewal says nothing, as a new period at Stripe is one of usage without it."""
    was, start = before["current_period_start"], after["current_period_start"]
    end = before["current_period_end"]
    if start is not None and _is_resumed(before, after):
        return [{"start": start, "opened": start if _paid_what_failed(before) else max(start, at)}]
    if was is None or start is None or end is None:
        return []
    if start == was:
        paid_first = before["status"] == "incomplete" and after["status"] != "incomplete"
        return [{"start": start, "opened": at}] if paid_first and at > start else []
    if not was < start < end:
        return []
    trial_ended = before["status"] == "trialing" and after["status"] != "trialing"
    if trial_ended or _bought(before) == _bought(after):
        return [{"start": start, "opened": start}]
    return [_goes_on(before, start)]


def _is_resumed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return before["status"] == "paused" and after["status"] not in ENDED | {"paused"}


def _paid_what_failed(before: Mapping[str, Any]) -> bool:
    """Whether the pause was for a failed payment: paid, the period goes on that was paid for."""
    return pause_cause(before["pause_cause"]) == "payment_failed"


def _resumed(values: Mapping[str, Any], at: int) -> list[Fact]:
    """What `.resumed` says alone; `.updated` of the same moment says it better."""
    start = values["current_period_start"]
    return [{"start": start, "opened": at, "weak": True}] if start is not None and start < at else []


def _since_the_record(after: Mapping[str, Any], record: Mapping[str, Any], at: int) -> list[Fact]:
    """What an object that was fetched says beside the record, which has not changed since it was fetched."""
    was, start = record["current_period_start"], after["current_period_start"]
    end = record["current_period_end"]
    if start == was and _is_resumed(record, after) and not _paid_what_failed(record):
        return _resumed(after, at)
    if was is None or start is None or end is None or not was < start < end:
        return []
    opens = record["status"] in ("paused", "trialing") and record["status"] != after["status"]
    if opens or _bought(record) == _bought(after):
        return []
    return [_goes_on(record, start) | {"weak": True}]


def _goes_on(before: Mapping[str, Any], start: int) -> Fact:
    was, end = before["current_period_start"], before["current_period_end"]
    anchor = before["billing_cycle_anchor"]
    return {"start": start, "from": [was, end], "anchor": was if anchor is None else anchor}


def _bought(values: Mapping[str, Any]) -> list[str]:
    """The prices with interval and quantity: where they differ, an anchor was not reset by itself."""
    names = ("price_id", "interval", "interval_count", "quantity")
    return sorted(repr([item.get(name) for name in names]) for item in values["items"])
