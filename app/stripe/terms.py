"""The periods of a subscription's items, and the term of the whole ("Mixed interval subscriptions").

Each item has a period of its own since 2025-03-31.basil. Before, a subscription shows one, the smallest: that
of an item with a longer interval is counted from `billing_cycle_anchor`, as Stripe counts it. So an endpoint
of an older version and one of today give one record.
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .objects import ENDED, MAX_SECONDS, Values, as_seconds

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}
DAY_SECONDS = 86_400


ShownItems = tuple[list[Values], bool]
"""The items of a subscription with their periods; and whether any of those had to be counted."""


def with_periods(items: list[Values], content: Values) -> ShownItems:
    """The items, each with its period as far as it is known; and whether any of them had to be counted."""
    start, end = period_of(None, content)
    if start is None or end is None or all(item["current_period_end"] is not None for item in items):
        return items, False
    shortest = min((_length(item) for item in items), default=0)
    anchor = as_seconds(content.get("billing_cycle_anchor"))
    found, counted = [], False
    for item in items:
        period: tuple[int, int] | None = (start, end)
        if item["current_period_end"] is not None:
            found.append(item)
            continue
        if _length(item) > shortest and (anchor is None or anchor < end):
            counted = True
            period = anchored_period(anchor, item["interval"], item["interval_count"] or 1, start)
        known = period or (None, None)
        found.append(item | {"current_period_start": known[0], "current_period_end": known[1]})
    return found, counted


def term_values(values: Values, main: Any, content: Values, created: int) -> Values:
    """The columns that say the term: the main item's own period, and when it is over.

    `values` are the columns of the snapshot at `created` (Unix seconds), `main` the item that the plan comes
    from, with `period_start` and `period_end`; None where there is no item.
    """
    start, end = period_of(main, content)
    term = {"current_period_start": start, "current_period_end": end}
    return term | {"expiry_date": _expiry_date(values, end, created)}


def period_of(main: Any, content: Values) -> tuple[int | None, int | None]:
    """The main item's own period, else that of the subscription: start and end, in Unix seconds."""
    if main is not None and main.period_end is not None:
        return main.period_start, main.period_end
    return as_seconds(content.get("current_period_start")), as_seconds(content.get("current_period_end"))


def _expiry_date(values: Values, period_end: int | None, created: int) -> int | None:
    """The end of the term: when it ended, else when it is to renew or to stop, whichever is sooner."""
    if values["status"] in ENDED:
        ends = (values["ended_at"], values["canceled_at"], created)
        return next(end for end in ends if end is not None)
    known = [period_end, values["cancel_at"]]
    if values["cancel_at_period_end"] and values["cancel_at"] is None:
        # It ends with the first of its items, whichever the main one is.
        known += [item["current_period_end"] for item in values["items"]]
    return min((end for end in known if end is not None), default=None)


def anchored_period(anchor: int | None, interval: str | None, count: int, at: int) -> tuple[int, int] | None:
    """The period that `at` lies in, counted from a billing anchor. Unix seconds; None where it is unknown."""
    if anchor is None or (interval not in MONTHS and interval not in DAYS) or count < 1:
        return None
    try:
        number = _steps_before(anchor, interval, count, at)
        start, end = step(anchor, interval, count, number), step(anchor, interval, count, number + 1)
    except (ValueError, OverflowError):  # a year that no calendar has
        return None
    return (start, end) if 0 <= start < end <= MAX_SECONDS else None


MAX_PERIODS = 120
"""Periods of one invoice that are counted at most."""


def period_ends(anchor: int, item: Mapping[str, Any], start: int, end: int) -> tuple[int, ...]:
    """The ends of an item's periods from `start` to `end` (Unix seconds), which is the last of them.

    One period, unless there is clearly time for more: those are counted from the anchor.
    """
    interval, count = item.get("interval"), item.get("interval_count") or 1
    half = _length(item) * DAY_SECONDS // 2
    ends: list[int] = []
    at = start
    while half and end - at > 3 * half and len(ends) < MAX_PERIODS:
        period = anchored_period(anchor, interval, count, at + half)
        if period is None:
            break
        at = period[1]
        ends.append(at)
    return (*ends, end)


def step(anchor: int, interval: str, count: int, number: int) -> int:
    """The `number`th end of a period after the anchor, in Unix seconds ("Billing cycle").

    Months and years are counted from the anchor itself: one on the 31st ends shorter months on their last day
    and comes back to the 31st.
    """
    if interval in DAYS:
        return anchor + number * count * DAYS[interval] * DAY_SECONDS
    begun = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(begun.year * 12 + begun.month - 1 + number * count * MONTHS[interval], 12)
    day = min(begun.day, monthrange(year, month + 1)[1])
    return int(begun.replace(year=year, month=month + 1, day=day).timestamp())


def _steps_before(anchor: int, interval: str, count: int, at: int) -> int:
    """How many whole periods lie between the anchor and `at`; negative before the anchor."""
    if interval in DAYS:
        return (at - anchor) // (count * DAYS[interval] * DAY_SECONDS)
    begun, moment = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(at, UTC)
    months = (moment.year - begun.year) * 12 + moment.month - begun.month
    number = months // (count * MONTHS[interval])
    while step(anchor, interval, count, number) > at:
        number -= 1
    return number


def _length(item: Mapping[str, Any]) -> int:
    """About how many days an interval has: for comparing."""
    days = {"day": 1, "week": 7, "month": 30, "year": 365}.get(item.get("interval") or "", 0)
    return days * max(item.get("interval_count") or 1, 1)
