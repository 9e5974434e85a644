"""The periods in which usage counts."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from .givens import DAY, END, NOW, START, STARTER, WEEK, Sub, catalogue_of, item, of

# Periods.


def seconds(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("feature", "now", "period"),
    [
        ("daily", seconds(2028, 2, 29, 23, 59, 59), (seconds(2028, 2, 29), seconds(2028, 3, 1))),
        ("daily", seconds(2028, 3, 1), (seconds(2028, 3, 1), seconds(2028, 3, 2))),
        ("monthly", seconds(2028, 2, 29, 23, 59, 59), (seconds(2028, 2, 1), seconds(2028, 3, 1))),
        ("monthly", seconds(2028, 12, 31), (seconds(2028, 12, 1), seconds(2029, 1, 1))),
        ("monthly", seconds(2029, 1, 1), (seconds(2029, 1, 1), seconds(2029, 2, 1))),
        ("yearly", seconds(2028, 12, 31, 23, 59, 59), (seconds(2028, 1, 1), seconds(2029, 1, 1))),
        ("calls", seconds(2028, 2, 29), (seconds(2028, 2, 1), seconds(2028, 3, 1))),
        ("projects", NOW, (0, None)),
        ("sso", NOW, (0, None)),
    ],
)
def test_periods_without_a_subscription_are_utcs(
    feature: str, now: int, period: tuple[int, int | None]
) -> None:
    user = of()
    assert user.period_of(feature, now) == period
    assert user.resets_at(feature, now) == period[1]


def test_a_billing_period_is_the_subscriptions_own() -> None:
    assert of(STARTER).period_of("calls", NOW) == (START, END)
    assert of(STARTER).period_of("calls", END - 1) == (START, END)


def test_a_period_that_is_over_stays_open_as_long_as_access_does() -> None:
    for now in (END, END + WEEK - 1):
        assert of(STARTER, now=now).period_of("calls", now) == (START, END), "another begins, or none"
        assert of(STARTER, now=now).resets_at("calls", now) == now + 300, "look again in minutes"
    assert of(STARTER, now=NOW).resets_at("calls", END - 1) == END
    assert of(STARTER, now=NOW).resets_at("calls", END + 1) == END + 301, "asked beforehand"
    over = of(STARTER, now=END + WEEK)
    assert over.plan == "free"
    month = of().period_of("calls", END + WEEK)
    assert over.period_of("calls", END + WEEK) == (END, month.end), (
        "the month, from the end of the last period"
    )


def test_what_is_paid_beyond_the_end_opens_no_period_of_a_subscription_that_is_set_to_cancel() -> None:
    canceling = replace(STARTER, cancel_at_period_end=True)
    paid = replace(canceling, paid_through=END + 30 * DAY)
    for now in (END - 1, END, END + DAY, END + 31 * DAY):
        assert of(paid, now=now).period_of("calls", now) == of(canceling, now=now).period_of("calls", now)
    going_on = replace(STARTER, paid_through=END + 30 * DAY)
    assert of(going_on, now=END + DAY).period_of("calls", END + DAY) == (END, END + 30 * DAY)
    until_then = replace(going_on, cancel_at=END + 30 * DAY)
    assert of(until_then, now=END + DAY).period_of("calls", END + DAY) == (END, END + 30 * DAY)


def test_a_billing_period_is_that_of_the_subscription_that_gives_the_feature() -> None:
    other = Sub(id="sub_0", items=[item("team")], current_period_start=START + 1, current_period_end=END + 1)
    user = of(STARTER, other)
    assert user.period_of("calls", NOW) == (START + 1, END + 1), "unlimited on team"


def test_without_stripes_period_the_term_of_the_internal_update_is_the_period() -> None:
    internal = replace(STARTER, current_period_start=None, current_period_end=None, start_date=START + 5)
    assert of(internal).period_of("calls", NOW) == (START + 5, END)
    broken = replace(internal, start_date=END)
    assert of(broken).period_of("calls", NOW) == of().period_of("calls", NOW)


def test_a_period_that_was_left_open_after_another_renewal_got_late_has_its_own_end() -> None:
    """The canceled one began earlier, so its periods were the user's; the other one's ended before."""
    start, end, now = END + DAY, END + 31 * DAY, END + 3 * DAY
    over = replace(
        STARTER,
        id="sub_2",
        status="canceled",
        start_date=START - 200 * DAY,
        current_period_start=start,
        current_period_end=end,
        expiry_date=END + 2 * DAY,
    )
    user = of(STARTER, over, now=now)
    assert (user.plan, user.period_of("calls", now)) == ("starter", (start, end))
    assert user.resets_at("calls", now) == end


BILLED_MONTHS = catalogue_of("""
[features]
mails = { kind = "consumable", reset = "month", anchor = "billing" }
[plans.starter]
prices = ["starter"]
mails = 100
""")


@pytest.mark.parametrize(("interval", "length"), [("week", WEEK), ("day", DAY)])
def test_a_month_of_the_billing_day_goes_on_over_renewals_by_days_and_weeks(
    interval: str, length: int
) -> None:
    begun, next_month = seconds(2030, 1, 10), seconds(2030, 2, 10)
    for start in (begun, begun + length, begun + 2 * length):
        billed = replace(
            STARTER,
            items=[item("starter") | {"interval": interval, "interval_count": 1}],
            plan_id="starter",
            start_date=begun,
            billing_cycle_anchor=begun,
            current_period_start=start,
            current_period_end=start + length,
            expiry_date=start + length,
        )
        for now in (start, start + length - 1, start + length + 60):  # the renewal is a minute late
            user = of(billed, now=now, catalogue=BILLED_MONTHS)
            assert user.period_of("mails", now) == (begun, next_month)
            assert user.resets_at("mails", now) == next_month
