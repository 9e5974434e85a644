"""The benchmarks' arithmetic and their verdicts. Nothing here is timed."""

import pytest

from benchmarks.measures import QUIET, Finding, Goal, Spread, judge, percentile, ratios, spread
from benchmarks.rates import AT_64, BATCHED, FULL_CASES, MEDIAN_AT_1, TAIL_OPEN, turns

AT_LEAST = Goal("a rate", "at least", 0.5, aim=0.6)
AT_MOST = Goal("a time", "at most", 2.0)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = list(range(1, 201))
    assert [percentile(values, percent) for percent in (0, 50, 99, 99.5, 100)] == [1, 100, 198, 199, 200]
    assert percentile([7.0], 99) == 7.0


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_ratios_are_taken_within_each_round() -> None:
    assert ratios([10, 40, 90], [20, 50, 100]) == Spread(0.8, 0.5, 0.9)
    assert spread([3, 1, 2]) == Spread(2, 1, 3)


def test_rounds_must_be_complete() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (AT_LEAST, 0.6, "better than aimed"),
        (AT_LEAST, 0.5, "met"),
        (AT_LEAST, 0.499, "missed"),
        (AT_LEAST, 0.25, "missed"),
        (AT_LEAST, 0.249, "FAR OFF"),
        (AT_LEAST, 0.0, "FAR OFF"),
        (AT_MOST, 2.0, "met"),
        (AT_MOST, 0.0, "met"),
        (AT_MOST, 4.0, "missed"),
        (AT_MOST, 4.1, "FAR OFF"),
    ],
)
def test_the_verdict_of_a_number(goal: Goal, value: float, verdict: str) -> None:
    assert judge(goal, value) == verdict


def test_only_a_ratio_that_is_far_off_fails_a_run() -> None:
    assert Finding(AT_64, Spread(0.2, 0.1, 0.9)).fails(others=0)
    assert not Finding(AT_64, Spread(0.3, 0.1, 0.9)).fails(others=0)
    assert Finding(MEDIAN_AT_1, Spread(4.5, 4, 5)).fails(others=0)
    assert not Finding(TAIL_OPEN, Spread(1000, 1000, 1000)).fails(others=0)


def test_a_busy_machine_fails_no_rate_but_a_lost_batch() -> None:
    assert not Finding(AT_64, Spread(0.1, 0.1, 0.1)).fails(others=QUIET + 0.01)
    assert Finding(AT_64, Spread(0.1, 0.1, 0.1)).fails(others=QUIET)
    assert Finding(BATCHED, Spread(0.9, 0.9, 0.9)).fails(others=1)
    assert not Finding(BATCHED, Spread(0.7, 0.7, 0.7)).fails(others=0)


def test_every_round_measures_everything_and_the_next_one_in_reverse() -> None:
    cases = FULL_CASES
    first, second = list(turns(cases, 0)), list(turns(cases, 1))
    assert sorted(first) == sorted(second)
    assert len(first) == len(set(first)) == sum(map(len, cases.values()))
    alone = [name for name in cases if 1 in cases[name]]
    assert first[: len(alone)] == second[: len(alone)][::-1] == [(name, 1) for name in alone]
