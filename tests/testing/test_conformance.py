"""The conformance test finds the mistakes of applications, names the line, and accuses no right one."""

from pathlib import Path

import pytest

from .. import ROOT
from .mutants import MISTAKES, ON_POSTGRESQL, SYNC_MISTAKES
from .shops import Shop, Verdict, conformance, judge, read_report

RIGHT = [Shop("right", ()), Shop("right_sync", (), sync=True)]
CONSUMED = 'limits.consume(session, user, "projects")'
FOUND_BY = {
    "consume_removed": (
        "concurrent_creations",
        "The request calls no limits.consume",
        "await session.flush()",
    ),
    "count_then_insert": ("concurrent_creations", "limits.load gives a snapshot", "await limits.load(user)"),
    "count_then_insert_and_set": ("concurrent_creations", "checks no limit", "await limits.set_usage("),
    "consume_after_commit": ("status_canceled", "called after the row was committed", CONSUMED),
    "consume_in_another_session": ("rollback", "another transaction", "limits.consume(another"),
    "consume_before_in_another_session": ("rollback", "another transaction", CONSUMED),
    "cached_snapshot": ("concurrent_creations", "calls no limits.consume", "await session.flush()"),
    "cached_snapshot_and_count": ("status_canceled", "check that its denial", CONSUMED),
    "denial_ignored": ("status_canceled", "check that its denial", CONSUMED),
    "released_without_proof": ("repeated_deletes", "Release only what", "limits.release(session"),
    "released_in_another_session": ("rollback", "limits.release is called", "limits.release(session"),
    "never_released": ("repeated_deletes", "calls no limits.release", "deleted = await"),
    "sync_consume_removed": ("concurrent_creations", "calls no limits.consume", "session.commit()"),
    "sync_consume_after_commit": ("status_canceled", "after the row was committed", CONSUMED),
    "sync_consume_in_another_session": ("rollback", "another transaction", "limits.consume(another"),
    "sync_released_without_proof": (
        "repeated_deletes",
        "Release only what",
        CONSUMED.replace("consume", "release"),
    ),
}
"""The promise that each mistake breaks, a part of the report, and of the line that it names."""


def named_line(folder: Path, report: str) -> str:
    """The line of the application that a report says to look at."""
    (told,) = [line for line in report.splitlines() if line.startswith("Look at ")]
    path, _, rest = told.removeprefix("Look at ").partition(":")
    return (folder / path).read_text().splitlines()[int(rest.split()[0]) - 1]


def check(folder: Path, name: str, verdict: Verdict) -> None:
    promise, part, line = FOUND_BY[name]
    assert promise in verdict.broken, f"{name}: {verdict}"
    assert part in verdict.broken[promise]
    assert line in named_line(folder, verdict.broken[promise])


SOME = "rollback or concurrent_creations or repeated_deletes or status_canceled"
"""The promises that find all of the mistakes."""
SIX = (
    "consume_removed",
    "count_then_insert",
    "consume_after_commit",
    "consume_in_another_session",
    "released_without_proof",
    "cached_snapshot_and_count",
)


@pytest.mark.long
def test_six_mistakes_are_found_with_their_lines_and_a_right_application_is_not_accused(
    tmp_path: Path, sqlite_database: str
) -> None:
    mistakes = [shop for shop in MISTAKES if shop.name in SIX]
    assert len(mistakes) == len(SIX)
    chosen = [f"({shop.name}.adapter and {FOUND_BY[shop.name][0]})" for shop in mistakes]
    right = f"(right.adapter and ({SOME}))"
    options = ["-k", " or ".join([*chosen, right]), f"--billing-database={sqlite_database}"]
    found = judge([*mistakes, RIGHT[0]], tmp_path, *options)
    for shop in mistakes:
        check(tmp_path, shop.name, found[shop.name])
    assert (len(found["right"].passed), found["right"].broken) == (4, {})


@pytest.mark.deep
@pytest.mark.parametrize(
    "mistakes", [MISTAKES[:5], MISTAKES[5:9], MISTAKES[9:], SYNC_MISTAKES, ON_POSTGRESQL]
)
def test_every_mistake_is_found_on_both_databases(
    tmp_path: Path, database_url: str, mistakes: list[Shop]
) -> None:
    if mistakes is ON_POSTGRESQL and not database_url.startswith("postgres"):
        return
    found = judge(mistakes, tmp_path, "-k", SOME, f"--billing-database={database_url}")
    for shop in mistakes:
        assert found[shop.name].broken, shop.name
        if shop.name in FOUND_BY:
            check(tmp_path, shop.name, found[shop.name])


@pytest.mark.deep
def test_right_applications_are_not_accused(tmp_path: Path, database_url: str) -> None:
    found = judge(RIGHT, tmp_path, f"--billing-database={database_url}")
    for shop in RIGHT:
        assert (found[shop.name].broken, found[shop.name].skipped) == ({}, []), shop.name


EXAMPLES = ("Projects", "SyncProjects", "Files", "Uploads")


def check_examples(folder: Path, database_url: str, *names: str) -> None:
    """The examples keep all promises, with the catalogue that is shipped."""
    adapters = [f"examples.conformance:{name}" for name in names]
    plans = (ROOT / "plans.toml").read_text()
    database = f"--billing-database={database_url}"
    done = conformance(folder, adapters, database, plans=plans, UPLOADS_DIR=str(folder / "uploads"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = read_report(folder / "report.xml")
    assert {name: len(verdict.passed) for name, verdict in found.items()} == dict.fromkeys(names, 15)


@pytest.mark.long
def test_the_examples_keep_every_promise(tmp_path: Path, sqlite_database: str) -> None:
    check_examples(tmp_path, sqlite_database, "Projects")


@pytest.mark.deep
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_keep_every_promise_on_both_databases(
    tmp_path: Path, database_url: str, name: str
) -> None:
    check_examples(tmp_path, database_url, name)
