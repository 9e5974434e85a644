"""When the usage of a consumable starts anew. Times are Unix seconds; days, months and years are UTC's."""

from datetime import UTC, datetime
from typing import NamedTuple

from ..plans import Reset

DAY = 86_400  # seconds


class Period(NamedTuple):
    """From `start` up to, not including, `end`; None where no end is known."""

    start: int
    end: int | None


ALWAYS = Period(0, None)
"""What does not reset: the usage of an allocated feature."""


class BillingPeriod(NamedTuple):
    """A subscription's current period, and until when its access lasts with no renewal seen."""

    start: int
    end: int
    access_ends_at: int | None


def period(reset: Reset | None, billing: BillingPeriod | None, now: int) -> Period:
    """The period that usage at `now` counts in. Without a subscription a billing period is the UTC month."""
    if reset is None:
        return ALWAYS
    if reset == "day":
        start = now - now % DAY
        return Period(start, start + DAY)
    if reset == "year":
        return _years(now)
    if reset == "period" and billing is not None:
        # Also when it is over, and no renewal seen: it stays open till the next one begins, so that a late
        # event gives no second allowance.
        return Period(billing.start, billing.end)
    return _months(now)


def resets_at(reset: Reset | None, billing: BillingPeriod | None, now: int) -> int | None:
    """When usage starts anew, as far as is known; while a renewal is awaited, when access ends without it."""
    end = period(reset, billing, now).end
    if end is not None and end <= now and billing is not None:
        return billing.access_ends_at
    return end


def _months(now: int) -> Period:
    moment = datetime.fromtimestamp(now, UTC)
    year, month = divmod(moment.year * 12 + moment.month, 12)
    return Period(_first_of(moment.year, moment.month), _first_of(year, month + 1))


def _years(now: int) -> Period:
    year = datetime.fromtimestamp(now, UTC).year
    return Period(_first_of(year, 1), _first_of(year + 1, 1))


def _first_of(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
