"""The term of a subscription: the main item's own period, in every API version, through short months."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stripe.objects import subscription_items, subscription_values
from app.stripe.terms import anchored_period, period_ends, step, term_values, with_periods


def at(year: int, month: int, day: int, hour: int = 9) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


YEAR_START, YEAR_END = at(2030, 1, 15), at(2031, 1, 15)
MONTH_START, MONTH_END = at(2030, 4, 15), at(2030, 5, 15)


def item(interval: str, period: tuple[int, int] | None, id: str = "si_1", count: int = 1) -> dict[str, Any]:
    price = {"id": f"price_{interval}", "recurring": {"interval": interval, "interval_count": count}}
    known = {} if period is None else {"current_period_start": period[0], "current_period_end": period[1]}
    return {"id": id, "price": price, "quantity": 1, **known}


def subscription(*items: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active"}
    return base | {"billing_cycle_anchor": YEAR_START, "items": {"data": list(items)}} | changes


NEW = subscription(item("year", (YEAR_START, YEAR_END)), item("month", (MONTH_START, MONTH_END), "si_2"))
OLD = subscription(
    item("year", None),
    item("month", None, "si_2"),
    current_period_start=MONTH_START,
    current_period_end=MONTH_END,
)


def term(content: dict[str, Any], of: int = 0) -> dict[str, Any]:
    """The term where item number `of` is the main one."""
    values = subscription_values(content)
    values["items"], _ = with_periods(subscription_items(content), content)
    main = values["items"][of]
    held = SimpleNamespace(period_start=main["current_period_start"], period_end=main["current_period_end"])
    return term_values(values, held, content, created=7)


def test_an_older_version_and_a_newer_one_give_the_same_periods() -> None:
    new, counted_new = with_periods(subscription_items(NEW), NEW)
    old, counted_old = with_periods(subscription_items(OLD), OLD)
    assert old == new
    assert (counted_new, counted_old) == (False, True)


@pytest.mark.parametrize("status", ["trialing", "active"])
def test_until_an_anchor_that_is_to_come_all_items_have_the_period_that_is_shown(status: str) -> None:
    """A trial, and a first period up to a billing date that was set, end for every item with the anchor."""
    begun, anchor = at(2030, 4, 3), at(2030, 4, 15)
    content = OLD | {
        "status": status,
        "billing_cycle_anchor": anchor,
        "current_period_start": begun,
        "current_period_end": anchor,
    }
    items, counted = with_periods(subscription_items(content), content)
    assert [(each["current_period_start"], each["current_period_end"]) for each in items] == 2 * [
        (begun, anchor)
    ]
    assert not counted


def test_one_interval_alone_is_counted_from_nothing() -> None:
    content = subscription(
        item("month", None),
        item("month", None, "si_2"),
        current_period_start=MONTH_START,
        current_period_end=MONTH_END,
        billing_cycle_anchor=None,
    )
    items, counted = with_periods(subscription_items(content), content)
    assert [each["current_period_end"] for each in items] == [MONTH_END, MONTH_END]
    assert not counted


def test_without_an_anchor_a_longer_period_is_not_guessed() -> None:
    content = OLD | {"billing_cycle_anchor": None}
    items, counted = with_periods(subscription_items(content), content)
    assert ([each["current_period_end"] for each in items], counted) == ([None, MONTH_END], True)


@pytest.mark.parametrize("content", [NEW, OLD], ids=["since basil", "before basil"])
@pytest.mark.parametrize(("of", "period"), [(0, (YEAR_START, YEAR_END)), (1, (MONTH_START, MONTH_END))])
def test_the_term_is_the_main_items_own_period(
    content: dict[str, Any], of: int, period: tuple[int, int]
) -> None:
    found = term(content, of)
    assert (found["current_period_start"], found["current_period_end"]) == period
    assert found["expiry_date"] == period[1]


@pytest.mark.parametrize(
    ("changes", "of", "expiry"),
    [
        ({"cancel_at": MONTH_START + 9}, 1, MONTH_START + 9),
        ({"cancel_at": MONTH_END + 9}, 1, MONTH_END),
        ({"cancel_at": YEAR_END}, 1, MONTH_END),
        ({"cancel_at_period_end": True, "cancel_at": MONTH_END}, 0, MONTH_END),
        ({"cancel_at_period_end": True}, 0, MONTH_END),
        ({"cancel_at_period_end": True, "cancel_at": YEAR_END}, 0, YEAR_END),
        ({"status": "canceled", "ended_at": 11, "canceled_at": 9}, 0, 11),
        ({"status": "canceled", "canceled_at": 9}, 0, 9),
        ({"status": "incomplete_expired"}, 0, 7),
    ],
)
def test_the_term_ends_at_cancel_at_else_with_the_first_item(
    changes: dict[str, Any], of: int, expiry: int
) -> None:
    assert term(NEW | changes, of)["expiry_date"] == expiry
    assert term(OLD | changes, of)["expiry_date"] == expiry


@pytest.mark.parametrize("end", [-5, "soon", None])
def test_a_period_that_is_none_gives_no_term(end: Any) -> None:
    assert term(subscription(item("month", None), current_period_end=end))["expiry_date"] is None


@pytest.mark.parametrize(
    ("interval", "count", "number", "end"),
    [
        ("month", 1, 1, at(2032, 2, 29)),
        ("month", 1, 2, at(2032, 3, 31)),
        ("month", 1, 3, at(2032, 4, 30)),
        ("month", 3, 1, at(2032, 4, 30)),
        ("month", 1, 13, at(2033, 2, 28)),
        ("year", 1, 1, at(2033, 1, 31)),
        ("week", 2, 1, at(2032, 2, 14)),
        ("day", 1, 30, at(2032, 3, 1)),
    ],
)
def test_periods_are_counted_from_the_anchor_and_not_from_a_short_month(
    interval: str, count: int, number: int, end: int
) -> None:
    assert step(at(2032, 1, 31), interval, count, number) == end


def test_a_yearly_anchor_on_a_leap_day_comes_back_to_it() -> None:
    ends = [step(at(2028, 2, 29), "year", 1, number) for number in (1, 4)]
    assert ends == [at(2029, 2, 28), at(2032, 2, 29)]


@given(
    st.integers(0, 4_000_000_000),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 36),
    st.integers(0, 4_000_000_000),
)
def test_the_period_of_a_moment_holds_it(anchor: int, interval: str, count: int, moment: int) -> None:
    period = anchored_period(anchor, interval, count, moment)
    if period is None:
        assert moment < anchor, "only before the year 1970 there is no period"
        return
    start, end = period
    assert start <= moment < end
    assert anchored_period(anchor, interval, count, end) != period


@pytest.mark.parametrize(
    "known",
    [
        (None, "month", 1),
        (5, None, 1),
        (5, "decade", 1),
        (5, "month", 0),
        (5, "month", 10**18),
        (5, "day", 10**18),
        (253_402_300_799, "year", 1),
    ],
)
def test_what_no_calendar_has_is_no_period(known: tuple[int | None, str | None, int]) -> None:
    anchor, interval, count = known
    assert anchored_period(anchor, interval, count, anchor or 5) is None


MONTHLY: dict[str, Any] = {"interval": "month", "interval_count": 1}
ANCHOR = at(2030, 1, 31)


@pytest.mark.parametrize(
    ("item", "end", "ends"),
    [
        (MONTHLY, at(2030, 3, 31), [at(2030, 3, 31)]),
        (MONTHLY, at(2030, 4, 30), [at(2030, 3, 31), at(2030, 4, 30)]),
        (MONTHLY, at(2030, 3, 5), [at(2030, 3, 5)]),
        (MONTHLY, at(2030, 4, 5), [at(2030, 4, 5)]),
        (MONTHLY | {"interval_count": 3}, at(2030, 5, 31), [at(2030, 5, 31)]),
        ({"interval": "week"}, at(2030, 3, 14), [at(2030, 3, 7), at(2030, 3, 14)]),
        ({"interval": "decade"}, at(2040, 2, 28), [at(2040, 2, 28)]),
        ({}, at(2040, 2, 28), [at(2040, 2, 28)]),
    ],
)
def test_the_periods_up_to_a_moment_end_on_the_anchors_days(
    item: dict[str, Any], end: int, ends: list[int]
) -> None:
    assert list(period_ends(ANCHOR, item, at(2030, 2, 28), end)) == ends


def test_a_period_without_end_is_bounded() -> None:
    assert len(period_ends(ANCHOR, {"interval": "day"}, ANCHOR, 4_000_000_000)) == 121
