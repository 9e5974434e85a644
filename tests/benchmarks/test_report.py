"""What the benchmarks write: tables, charts, and a verdict that fails."""

import xml.etree.ElementTree as ElementTree
from typing import Any, cast

import pytest

from benchmarks import report, webhooks
from benchmarks.generator import rate_of
from benchmarks.load import Measured
from benchmarks.measures import Finding, Spread
from benchmarks.plot import Chart, Line, nice, svg
from benchmarks.rates import (
    AT_64,
    DATABASE_AT_64,
    FOUR,
    FULL_CASES,
    HAND,
    LITE,
    NO_OP,
    ONE,
    SERVER_AT_16,
    SERVER_AT_64,
    TWO,
    VERIFY,
    findings,
)
from benchmarks.trials import OPEN, LostEventsError, Trial, Trials
from benchmarks.webhooks import Outcome, check_stored

RATES = {NO_OP: 20_000.0, VERIFY: 5000.0, HAND: 900.0, ONE: 3000.0, TWO: 3100.0, FOUR: 2900.0, LITE: 2500.0}


def trials_with(**changes: float) -> Trials:
    """Three rounds of made-up trials, each round slower than the one before."""
    made = Trials(cast(Any, None), 0, 1.0, 0.1)
    for name, rate in (RATES | changes).items():
        for connections in (1, 16, 64, OPEN):
            for slower in (1, 2, 4):
                measured = Measured(100, {}, rate / slower, 10.0 * slower, 15.0, 20.0 * slower, 30.0, 0.1)
                cpu = 800.0 if connections == 1 else 200.0
                made.by_case[name, connections].append(Trial(measured, cpu, cpu / 2))
    return made


def test_what_slows_down_all_servers_changes_no_ratio() -> None:
    found = {finding.goal: finding for finding in findings(trials_with())}
    assert found[AT_64].spread == Spread(0.6, 0.6, 0.6)
    assert not [finding for finding in found.values() if finding.fails(others=0)]


def test_processor_time_is_compared_with_that_of_verify_only() -> None:
    made = trials_with()
    for connections, cpu in ((64, 150.0), (16, 400.0)):
        measured = made.by_case[VERIFY, connections][0].measured
        made.by_case[VERIFY, connections] = [Trial(measured, cpu, 3.0)] * 3
    found = {finding.goal: finding.spread.median for finding in findings(made)}
    assert found[SERVER_AT_64] == pytest.approx(200 / 150)
    assert found[SERVER_AT_16] == pytest.approx(200 / 400)
    assert found[DATABASE_AT_64] == pytest.approx(100 / 150)


def test_a_lost_batch_fails_the_run() -> None:
    """Without batches each event is a transaction, and the rate that of the hand-written baseline."""
    found = findings(trials_with(**{ONE: RATES[HAND]}))
    assert AT_64 in [finding.goal for finding in found if finding.fails(others=0)]


@pytest.mark.parametrize(("value", "check", "code"), [(0.6, True, 0), (0.2, True, 1), (0.2, False, 0)])
def test_the_exit_code(monkeypatch: pytest.MonkeyPatch, value: float, check: bool, code: int) -> None:
    outcome = Outcome([Finding(AT_64, Spread(value, value, value))], others=0)
    monkeypatch.setattr(webhooks, "run", lambda *_: outcome)
    assert webhooks.main(["--quick", "--check"] if check else ["--quick"]) == code


def test_an_event_that_was_answered_and_is_not_stored_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trials_with()
    made.sent["postgresql://host/one"] = 100
    monkeypatch.setattr(webhooks, "stored", lambda url: 100)
    check_stored(made, ["postgresql://host/one"])
    monkeypatch.setattr(webhooks, "stored", lambda url: 99)
    with pytest.raises(LostEventsError, match=r"100 .* 99 are stored"):
        check_stored(made, ["postgresql://host/one"], timeout=0)


def test_the_report_has_goals_rates_and_the_machine() -> None:
    made = trials_with()
    text = report.markdown("Title", findings(made), made, {"kernel": "Linux 6"}, ["a note"])
    goal = next(line for line in text.splitlines() if AT_64.what in line)
    assert goal.split(" | ")[1:] == ["0.60 (0.60 to 0.60)", "≥ 0.55 (aim 0.7)", "met |"]
    rate = next(line for line in text.splitlines() if line.startswith("| PostgreSQL | 64 "))
    assert "1,500 (750 to 3,000) | 0.60 | 20.0 | 40.0 | 200 | 100" in rate
    assert "- a note" in text
    assert "- kernel: Linux 6" in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("| PostgreSQL |")}
    assert columns == {len(report.RATE_COLUMNS) + 1}


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert [report.number(value) for value in (0.4567, 12.345, 1234.5)] == ["0.46", "12.3", "1,234"]


def test_a_chart_is_an_svg_with_every_point_inside() -> None:
    chart = webhooks.rate_chart(trials_with())
    assert [line.name for line in chart.lines] == list(FULL_CASES)
    root = ElementTree.fromstring(svg([chart, chart]))  # noqa: S314 # our own
    space = "{http://www.w3.org/2000/svg}"
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    places = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{space}circle")]
    assert len(places) == 2 * len(FULL_CASES) * 3
    assert all(0 < x < width and 0 < y < height for x, y in places)


def test_a_chart_escapes_names() -> None:
    point = ("1", Spread(1, 1, 1))
    assert "a &lt; b &amp; c" in svg([Chart("a < b & c", "", "", [Line("x", [point])])])


@pytest.mark.parametrize(
    ("value", "top"), [(1.0, 1.0), (1.01, 1.25), (0.9, 1.0), (6_700, 10_000), (5_000, 5_000), (26, 50)]
)
def test_the_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)


def test_the_rate_that_wrk_prints() -> None:
    assert rate_of("Requests/sec:  6543.21\nTransfer/sec: 1MB") == 6543.21
    with pytest.raises(ValueError, match="nothing of use"):
        rate_of("Requests/sec: 1.0\n  Non-2xx or 3xx responses: 17")
    with pytest.raises(ValueError, match="nothing of use"):
        rate_of("unable to connect")
