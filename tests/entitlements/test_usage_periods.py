"""Laws of usage periods, for any subscriptions: pure, so without a database."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.entitlements.cycles import MAX_CHANGES, BillingCycle, billing_cycle, merged
from app.entitlements.periods import resets_at, usage_period
from app.plans import Reset

DAY = 86_400
START = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
days = st.integers(0, 900)

facts = st.one_of(
    st.builds(lambda start, opened: {"start": start, "opened": start + opened}, days, st.integers(0, 40)),
    st.builds(
        lambda start, ago, length, anchor, weak: (
            {"start": start, "from": [start - ago, start - ago + length], "anchor": start - anchor}
            | ({"weak": True} if weak else {})
        ),
        st.integers(100, 900),
        st.integers(1, 30),
        st.integers(31, 365),
        st.integers(0, 60),
        st.booleans(),
    ),
)


@given(st.lists(facts, max_size=30), st.randoms(use_true_random=False))
def test_facts_merge_alike_in_any_order_and_however_often(found: list[dict[str, Any]], order: Any) -> None:
    known = merged(None, found)
    shuffled = [*found, *found[:5]]
    order.shuffle(shuffled)
    again: list[dict[str, Any]] = []
    for fact in shuffled:
        again = merged(again, [fact])
    assert again == known
    assert len(known) <= MAX_CHANGES


def cycle(
    began: int, length: int, changes: list[dict[str, Any]], ended: int | None, renewals: int, by_days: bool
) -> BillingCycle:
    start = START + began * DAY
    own = [
        {"start": start, "from": [start - each["from"][1] * DAY // 40, start + DAY], "anchor": start - DAY}
        for each in changes
        if "from" in each
    ]
    return billing_cycle(
        began=start - DAY,
        start=start,
        end=start + length * DAY,
        anchor=start,
        changes=own,
        renewed=tuple(start + (number + 2) * length * DAY for number in range(renewals)),
        ended=None if ended is None else start + min(ended, length) * DAY,
        by_days=by_days,
    )


cycles = st.builds(
    cycle,
    st.integers(0, 500),
    st.sampled_from([7, 14, 28, 30, 31, 365]),
    st.lists(facts, max_size=1),
    st.none() | st.integers(1, 365),
    st.integers(0, 3),
    st.booleans(),
)


@given(st.lists(cycles, max_size=3), days, st.booleans())
def test_what_is_announced_is_when_the_next_period_opens_and_no_period_is_cut_before(
    owned: list[BillingCycle], day: int, monthly: bool
) -> None:
    reset: Reset = "month" if monthly else "period"
    owned = sorted(owned, key=lambda each: each.ended is not None)
    latest = [max(each.began + DAY, each.ended or 0) for each in owned]
    now = max([START, *latest]) + day * DAY // 2 + 7

    def period_at(moment: int) -> tuple[int, int | None]:
        return usage_period(reset, owned, moment, billing_anchor=monthly)

    start, end = period_at(now)
    assert end is not None and start < end
    announced = resets_at(usage_period(reset, owned, now, billing_anchor=monthly), now)
    if end <= now:  # a renewal is awaited
        assert announced == now + 300
        return
    assert announced == end
    assert start <= now
    assert period_at(end - 1) == (start, end)
    after = period_at(end)
    assert after[0] == end or (after == (start, end)), "the next one opens, or its renewal is awaited"


@given(st.integers(0, 30), st.integers(0, 60))
def test_monthly_steps_count_from_the_anchor_and_fall_on_its_day_or_the_months_last(
    day: int, months: int
) -> None:
    anchor = int(datetime(2028, 1, 1 + day, 13, 30, tzinfo=UTC).timestamp())
    owned = [billing_cycle(began=anchor, start=anchor, end=anchor + 10_000 * DAY, anchor=anchor, changes=())]
    moment = anchor
    for _ in range(months):
        moment = usage_period("month", owned, moment, billing_anchor=True).end or 0
    stepped = datetime.fromtimestamp(moment, UTC)
    assert (stepped.year - 2028) * 12 + stepped.month - 1 == months
    assert (stepped.hour, stepped.minute) == (13, 30)
    next_day = datetime.fromtimestamp(moment + DAY, UTC)
    assert stepped.day == 1 + day or (stepped.day < 1 + day and next_day.day == 1)
