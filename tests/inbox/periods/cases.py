"""What happens to a subscription, and the usage period that it opens."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from app.simulator import DAY

from ..items.helpers import line
from ..subscription_story import SubscriptionStory, price_item

HOUR = 3600


def day(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


def monthly(start: int, end: int, quantity: int = 1) -> dict[str, object]:
    return price_item("pro_monthly", start, end, quantity=quantity)


def yearly(start: int, end: int) -> dict[str, object]:
    return price_item("pro_yearly", start, end, interval="year")


JAN_10, FEB_10, MAR_10 = day(2030, 1, 10), day(2030, 2, 10), day(2030, 3, 10)
JAN_20, FEB_20 = day(2030, 1, 20), day(2030, 2, 20)


class Case(NamedTuple):
    tell: Callable[[str], SubscriptionStory]
    now: int
    feature: str
    period: tuple[int, int]


def renewed(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(FEB_10, monthly(FEB_10, MAR_10))
    return story


def renewed_by_its_invoice_alone(user: str) -> SubscriptionStory:
    """The event that says the new period is lost."""
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.invoice(FEB_10, "in_2", line("pro_monthly", "si_pro_monthly", FEB_10, MAR_10, 900))
    return story


def renewed_twice_by_its_invoices_alone(user: str) -> SubscriptionStory:
    story = renewed_by_its_invoice_alone(user)
    paid = line("pro_monthly", "si_pro_monthly", MAR_10, day(2030, 4, 10), 900)
    story.invoice(MAR_10, "in_3", paid)
    return story


def invoiced_for_another_price(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.invoice(JAN_20, "in_2", line("pro_yearly", "si_pro_monthly", JAN_20, day(2031, 1, 20), 9_000))
    return story


def renewed_unpaid(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(JAN_20, status="unpaid")
    story.change(FEB_10, monthly(FEB_10, MAR_10))
    return story


def trial_ended_early(user: str) -> SubscriptionStory:
    item = monthly(JAN_10, FEB_10)
    story = SubscriptionStory(user, item, at=JAN_10, status="trialing", trial_end=FEB_10)
    story.change(JAN_20, monthly(JAN_20, FEB_20), status="active", trial_end=JAN_20)
    return story


def trial_ended_early_with_a_change_of_price(user: str) -> SubscriptionStory:
    item = monthly(JAN_10, FEB_10)
    story = SubscriptionStory(user, item, at=JAN_10, status="trialing", trial_end=FEB_10)
    story.change(JAN_20, yearly(JAN_20, day(2031, 1, 20)), status="active", trial_end=JAN_20)
    return story


def anchor_reset(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(JAN_20, monthly(JAN_20, FEB_20), billing_cycle_anchor=JAN_20)
    return story


def anchor_reset_with_a_quantity(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(JAN_20, monthly(JAN_20, FEB_20, quantity=2), billing_cycle_anchor=JAN_20)
    return story


def monthly_to_yearly(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(JAN_20, yearly(JAN_20, day(2031, 1, 20)), billing_cycle_anchor=JAN_20)
    return story


def yearly_to_monthly(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, yearly(JAN_10, day(2031, 1, 10)), at=JAN_10)
    story.change(JAN_20, monthly(JAN_20, FEB_20), billing_cycle_anchor=JAN_20)
    return story


def yearly_to_monthly_and_back(user: str) -> SubscriptionStory:
    story = yearly_to_monthly(user)
    then = JAN_20 + HOUR
    story.change(then, yearly(then, day(2031, 1, 20, 1)), billing_cycle_anchor=then)
    return story


def yearly_to_monthly_and_renewed(user: str) -> SubscriptionStory:
    story = yearly_to_monthly(user)
    story.change(FEB_20, monthly(FEB_20, day(2030, 3, 20)))
    return story


def renewed_on_another_price(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(FEB_10, yearly(FEB_10, day(2031, 2, 10)), billing_cycle_anchor=FEB_10)
    return story


def paused_and_resumed(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(day(2030, 1, 15), status="paused")
    story.change(MAR_10, monthly(MAR_10, day(2030, 4, 10)), status="active", billing_cycle_anchor=MAR_10)
    return story


def paused_for_a_payment_and_paid(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    details = {"paused": {"type": "subscription", "subscription": {"type": "first_payment_failure"}}}
    story.change(JAN_10 + HOUR, status="paused", status_details=details)
    story.change(JAN_20, status="active", status_details=None)
    story.change(JAN_20, kind="resumed")
    return story


def paused_and_resumed_with_the_same_anchor(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    details = {"paused": {"type": "subscription", "subscription": {"type": "pause_requested"}}}
    story.change(day(2030, 1, 15), status="paused", status_details=details)
    story.change(JAN_20, status="active", status_details=None)
    return story


def resumed_in_a_later_period(user: str) -> SubscriptionStory:
    """Stripe goes on with the period that surrounds the moment."""
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(day(2030, 1, 15), status="paused")
    story.change(FEB_20, monthly(FEB_10, MAR_10), status="active")
    return story


def resumed_and_nothing_else_delivered(user: str) -> SubscriptionStory:
    """The event that says what was before is lost."""
    story = paused_and_resumed_with_the_same_anchor(user)
    story.events.pop()
    story.change(JAN_20, kind="resumed")
    return story


def paid_a_day_after_it_was_made(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10, status="incomplete")
    story.change(JAN_10 + DAY, status="active")
    return story


def dated_back(user: str) -> SubscriptionStory:
    return SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_20, start_date=JAN_10)


def billed_on_the_31st_for_a_year(user: str) -> SubscriptionStory:
    start = day(2031, 1, 31, 22)
    return SubscriptionStory(user, yearly(start, day(2032, 1, 31, 22)), at=start)


def yearly_to_monthly_on_the_31st(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, yearly(day(2030, 1, 31), day(2031, 1, 31)), at=day(2030, 1, 31))
    then = day(2030, 3, 10)
    story.change(then, monthly(then, day(2030, 4, 10)), billing_cycle_anchor=then)
    return story


def weekly(start: int) -> dict[str, object]:
    return price_item("pro_weekly", start, start + 7 * DAY, interval="week")


def billed_by_the_week(user: str, renewals: int = 3) -> SubscriptionStory:
    story = SubscriptionStory(user, weekly(JAN_10), at=JAN_10)
    for number in range(1, renewals + 1):
        story.change(JAN_10 + 7 * number * DAY, weekly(JAN_10 + 7 * number * DAY))
    return story


def billed_by_many_weeks(user: str) -> SubscriptionStory:
    return billed_by_the_week(user, 5)


def paused_within_weeks(user: str) -> SubscriptionStory:
    story = SubscriptionStory(user, weekly(JAN_10), at=JAN_10)
    story.change(JAN_10 + DAY, status="paused")
    story.change(JAN_10 + 3 * DAY, status="active")
    story.change(JAN_10 + 7 * DAY, weekly(JAN_10 + 7 * DAY))
    return story


def monthly_to_weekly(user: str, renewals: int = 2) -> SubscriptionStory:
    story = SubscriptionStory(user, monthly(JAN_10, FEB_10), at=JAN_10)
    story.change(JAN_20, weekly(JAN_20), billing_cycle_anchor=JAN_20)
    for number in range(1, renewals + 1):
        story.change(JAN_20 + 7 * number * DAY, weekly(JAN_20 + 7 * number * DAY))
    return story


def monthly_to_weekly_for_longer(user: str) -> SubscriptionStory:
    return monthly_to_weekly(user, 3)


def weekly_to_monthly_and_back(user: str) -> SubscriptionStory:
    story = billed_by_the_week(user, 1)
    story.change(JAN_20, monthly(JAN_20, FEB_20), billing_cycle_anchor=JAN_20)
    story.change(JAN_20 + DAY, weekly(JAN_20 + DAY), billing_cycle_anchor=JAN_20 + DAY)
    story.change(JAN_20 + 8 * DAY, weekly(JAN_20 + 8 * DAY))
    return story


def trial_before_weeks(user: str) -> SubscriptionStory:
    item = price_item("pro_weekly", JAN_10, JAN_20, interval="week")
    trial = {"status": "trialing", "trial_end": JAN_20, "billing_cycle_anchor": JAN_20}
    return SubscriptionStory(user, item, at=JAN_10, **trial)


def trial_that_became_weeks(user: str) -> SubscriptionStory:
    story = trial_before_weeks(user)
    story.change(JAN_20, weekly(JAN_20), status="active")
    story.change(JAN_20 + 7 * DAY, weekly(JAN_20 + 7 * DAY))
    return story


FEB_1 = day(2030, 2, 1)

CASES = {
    "a renewal": Case(renewed, FEB_20, "calls", (FEB_10, MAR_10)),
    "a renewal that only its invoice tells of": Case(
        renewed_by_its_invoice_alone, FEB_20, "calls", (FEB_10, MAR_10)
    ),
    "before such a renewal": Case(renewed_by_its_invoice_alone, FEB_10 - 1, "calls", (JAN_10, FEB_10)),
    "the first of two such renewals": Case(
        renewed_twice_by_its_invoices_alone, FEB_20, "calls", (FEB_10, MAR_10)
    ),
    "the second of two such renewals": Case(
        renewed_twice_by_its_invoices_alone, MAR_10, "mails", (MAR_10, day(2030, 4, 10))
    ),
    "an invoice for another price": Case(invoiced_for_another_price, JAN_20 + 1, "calls", (JAN_10, FEB_10)),
    "a renewal while unpaid": Case(renewed_unpaid, FEB_20, "calls", (FEB_10, MAR_10)),
    "a trial's early end": Case(trial_ended_early, JAN_20 + 1, "calls", (JAN_20, FEB_20)),
    "a trial's end with another price": Case(
        trial_ended_early_with_a_change_of_price, JAN_20 + 1, "calls", (JAN_20, day(2031, 1, 20))
    ),
    "a reset of the anchor": Case(anchor_reset, JAN_20 + 1, "calls", (JAN_20, FEB_20)),
    "no reset of the anchor by itself": Case(
        anchor_reset_with_a_quantity, JAN_20 + 1, "calls", (JAN_10, FEB_10)
    ),
    "monthly to yearly": Case(monthly_to_yearly, JAN_20 + 1, "calls", (JAN_10, FEB_10)),
    "monthly to yearly, then": Case(monthly_to_yearly, FEB_10, "calls", (FEB_10, day(2031, 1, 20))),
    "yearly to monthly": Case(yearly_to_monthly, JAN_20 + 1, "calls", (JAN_10, FEB_20)),
    "yearly to monthly and back": Case(
        yearly_to_monthly_and_back, JAN_20 + DAY, "calls", (JAN_10, day(2031, 1, 10))
    ),
    "yearly to monthly, renewed": Case(
        yearly_to_monthly_and_renewed, FEB_20, "calls", (FEB_20, day(2030, 3, 20))
    ),
    "a renewal on another price": Case(renewed_on_another_price, FEB_20, "calls", (FEB_10, day(2031, 2, 10))),
    "a resume": Case(paused_and_resumed, MAR_10 + 1, "calls", (MAR_10, day(2030, 4, 10))),
    "a resume with the same anchor": Case(
        paused_and_resumed_with_the_same_anchor, JAN_20 + 1, "calls", (JAN_20, FEB_10)
    ),
    "a resume in a later period": Case(resumed_in_a_later_period, FEB_20 + 1, "calls", (FEB_20, MAR_10)),
    "a resume that only its own event tells of": Case(
        resumed_and_nothing_else_delivered, JAN_20 + 1, "calls", (JAN_20, FEB_10)
    ),
    "a pause for a payment opens nothing": Case(
        paused_for_a_payment_and_paid, JAN_20 + 1, "calls", (JAN_10, FEB_10)
    ),
    "a first payment that came later": Case(
        paid_a_day_after_it_was_made, JAN_20, "calls", (JAN_10 + DAY, FEB_10)
    ),
    "a subscription that is dated back": Case(dated_back, JAN_20 + 1, "calls", (JAN_20, FEB_10)),
    "a month of a year, clamped": Case(
        billed_on_the_31st_for_a_year,
        day(2031, 2, 28, 21, 59, 59),
        "mails",
        (day(2031, 1, 31, 22), day(2031, 2, 28, 22)),
    ),
    "the month after the clamped one": Case(
        billed_on_the_31st_for_a_year,
        day(2031, 2, 28, 22),
        "mails",
        (day(2031, 2, 28, 22), day(2031, 3, 31, 22)),
    ),
    "a month's own day after a change of interval": Case(
        yearly_to_monthly_on_the_31st, day(2030, 3, 20), "mails", (day(2030, 2, 28), day(2030, 3, 31))
    ),
    "its next one, until the renewal": Case(
        yearly_to_monthly_on_the_31st, day(2030, 4, 1), "mails", (day(2030, 3, 31), day(2030, 4, 10))
    ),
    "a month of weeks": Case(billed_by_the_week, FEB_1, "mails", (JAN_10, FEB_10)),
    "a week": Case(billed_by_the_week, FEB_1, "calls", (JAN_10 + 21 * DAY, JAN_10 + 28 * DAY)),
    "the month after that of weeks": Case(billed_by_many_weeks, FEB_20, "mails", (FEB_10, MAR_10)),
    "a resume within weeks": Case(paused_within_weeks, JAN_20, "mails", (JAN_10 + 3 * DAY, FEB_10)),
    "a trial before weeks": Case(trial_before_weeks, JAN_20 - 1, "mails", (JAN_10, JAN_20)),
    "a month of weeks after a trial": Case(trial_that_became_weeks, FEB_1, "mails", (JAN_20, FEB_20)),
    "monthly to weekly, renewed": Case(monthly_to_weekly, FEB_10 - 1, "mails", (JAN_10, FEB_10)),
    "monthly to weekly, the month after": Case(
        monthly_to_weekly_for_longer, FEB_10, "mails", (FEB_10, FEB_20)
    ),
    "weekly to monthly and back": Case(weekly_to_monthly_and_back, FEB_1, "mails", (JAN_10, FEB_10)),
}
