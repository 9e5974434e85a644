"""Which period usage counts in, and when it starts again. Times are Unix seconds; calendars are UTC's.

`usage_period` is the one answer: the row of usage, the entitlements and `Retry-After` all ask it.
"""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import MAXYEAR, UTC, datetime
from typing import NamedTuple

from ..plans import Reset
from ..stripe.objects import MAX_SECONDS
from .cycles import BillingCycle, Mark

DAY = 86_400  # seconds
AWAITED_SECONDS = 300
"""A renewal that is awaited comes within minutes: so soon it is worth asking again."""


class Period(NamedTuple):
    """From `start` up to, not including, `end`; None where no end is known."""

    start: int
    end: int | None


ALWAYS = Period(0, None)
"""What does not reset: the usage of an allocated feature."""


def usage_period(
    reset: Reset | None, cycles: Sequence[BillingCycle], now: int, *, billing_anchor: bool = False
) -> Period:
    """The period that usage at `now` counts in.

    `cycles` are those of the user's subscriptions, the one that counts first; `billing_anchor`: a month is
    one of the subscription's, not of the calendar. Without a subscription a period is the UTC month.
    """
    if reset is None:
        return ALWAYS
    if reset == "day":
        start = now - now % DAY
        return Period(start, start + DAY)
    if reset == "year":
        return _years(now)
    if reset == "month" and not billing_anchor:
        return _months(now)
    return _of_subscriptions(cycles, now, monthly=reset == "month")


def resets_at(period: Period, now: int) -> int | None:
    """When usage starts again; while a renewal is awaited, when to look again. None: it never does."""
    if period.end is not None and period.end <= now:
        return now + AWAITED_SECONDS
    return period.end


def _of_subscriptions(cycles: Sequence[BillingCycle], now: int, *, monthly: bool) -> Period:
    governing = next((each for each in cycles if each.over_since(now) is None), None)
    current = _months(now) if governing is None else _period(governing, now, monthly=monthly)
    for each in cycles:
        ended = each.over_since(now)
        if ended is not None and _left_open(each, ended, current, cycles):
            current = _after(_period(each, ended, monthly=monthly), current, now)
    return current


def _left_open(over: BillingCycle, ended: int, current: Period, cycles: Iterable[BillingCycle]) -> bool:
    """Whether the last period of a subscription that is over was followed by nothing but its own end.

    The first subscription after it opened a period, and so has the end of a period since.
    """
    if current.start > ended:
        return False
    return not any(
        other.began >= ended or (other.ended is None and other.began < over.began)
        for other in cycles
        if other is not over
    )


def _after(left: Period, current: Period, now: int) -> Period:
    """The period of a subscription that is over runs until its end, or until that of the user's next one.

    While the next one awaits a renewal since before, nothing but its own end is known.
    """
    assert left.end is not None and current.end is not None
    if left.end >= current.end:
        return Period(left.start, current.end) if left.start < current.end else left
    return Period(left.start, left.end) if now < left.end else Period(left.end, current.end)


def _period(cycle: BillingCycle, now: int, *, monthly: bool) -> Period:
    span = cycle.span(now)
    if not monthly:
        return Period(span.start, span.end)
    within = max(span.start, min(now, span.end - 1))
    if cycle.months:
        return _month_over_renewals(cycle, within)
    start, end = _month(span.anchor, within)
    return Period(max(span.start, start), min(span.end, end))


def _month_over_renewals(cycle: BillingCycle, at: int) -> Period:
    """The month at `at` for a subscriber who is billed by days or weeks: a renewal opens no month.

    Neither does a change of price or interval that moves the anchor: the month that is open then ends first.
    """
    start = ends = cycle.months[0].at
    for mark in (*(each for each in cycle.months[1:] if each.at <= at), Mark(at, cycle.anchor_then)):
        if mark.anchor is None:
            start = ends = mark.at
        elif mark.at >= ends:
            first, last = _month(mark.anchor, mark.at)
            start, ends = max(ends, first), last
    return Period(start, ends)


def _month(anchor: int, now: int) -> tuple[int, int]:
    number = _steps(anchor, now)
    return _step(anchor, number), _step(anchor, number + 1)


def _steps(anchor: int, now: int) -> int:
    """How many monthly steps after the anchor the last one before or at `now` is."""
    then, moment = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(now, UTC)
    number = (moment.year - then.year) * 12 + moment.month - then.month
    return number if _step(anchor, number) <= now else number - 1


def _step(anchor: int, number: int) -> int:
    """So many months after the anchor: its own day, or the last one of a month that has no such day."""
    then = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(then.year * 12 + then.month - 1 + number, 12)
    if year > MAXYEAR:
        return MAX_SECONDS
    day = min(then.day, monthrange(year, month + 1)[1])
    return int(then.replace(year=year, month=month + 1, day=day).timestamp())


def _months(now: int) -> Period:
    moment = datetime.fromtimestamp(now, UTC)
    year, month = divmod(moment.year * 12 + moment.month, 12)
    return Period(_first_of(moment.year, moment.month), _first_of(year, month + 1))


def _years(now: int) -> Period:
    year = datetime.fromtimestamp(now, UTC).year
    return Period(_first_of(year, 1), _first_of(year + 1, 1))


def _first_of(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
