"""Every mistake is made for real, and the doctor names it and its remedy."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.doctor import CHECKS, endpoint, installation
from app.errors import StripeRefused
from app.operations import event_sources
from app.stripe.client import StripeApi

from .mistakes import failing_event, stripe_fails, thin_event_that_nobody_reads
from .patient import found, healthy
from .settings_stories import NOBODY, Story
from .stories import STORIES

pytestmark = pytest.mark.postgresql_in_long


def one_of_each_check() -> Iterator[Any]:
    """The stories. The first one of each check runs in `make test`, all others in `make test-long`."""
    checks = set()
    for name, story in STORIES.items():
        yield pytest.param(name, marks=[pytest.mark.long] if story.check in checks else [])
        checks.add(story.check)


@pytest.mark.parametrize("name", list(one_of_each_check()))
async def test_the_doctor_names_the_mistake_and_its_remedy(
    name: str, sqlite_database: str, tmp_path: Path
) -> None:
    await tell(STORIES[name], sqlite_database, tmp_path)


IN_THE_DATABASE = [
    name for name, story in STORIES.items() if "records" in {c.name: c.needs for c in CHECKS}[story.check]
] + ["migration forgotten"]


@pytest.mark.long
@pytest.mark.parametrize("name", IN_THE_DATABASE)
async def test_the_doctor_names_what_is_wrong_in_postgresql(
    name: str, postgres_database: str, tmp_path: Path
) -> None:
    await tell(STORIES[name], postgres_database, tmp_path)


async def tell(story: Story, database_url: str, folder: Path) -> None:
    async with healthy(database_url, folder, livemode=story.livemode) as patient:
        await story.mistake(patient)
        report = await patient.examine()
        level = story.level
        if story.check == "database" and "migration" in story.what and database_url.startswith("sqlite"):
            level = "warning"  # the service migrates SQLite itself
        [finding] = [each for each in found(report, story.check) if story.what in each.what]
        assert (finding.level, story.remedy in finding.remedy) == (level, True), finding
        assert report.ok == (not any(each.level == "error" for _, each in report.findings))
        assert "pw-of-the-database" not in str(report.as_json())


def test_every_check_has_a_story() -> None:
    assert {check.name for check in CHECKS} == {story.check for story in STORIES.values()}


async def test_a_healthy_installation_has_nothing_wrong_and_nothing_is_skipped(
    database_url: str, tmp_path: Path
) -> None:
    async with healthy(database_url, tmp_path) as patient:
        report = await patient.examine()
    assert [(name, each) for name, each in report.findings if each.level != "ok"] == []
    assert [name for name, _ in report.findings] == [check.name for check in CHECKS]
    assert (report.ok, list(report.skipped)) == (True, [])
    assert not (tmp_path / "spool").exists(), "it changes nothing"


async def test_an_account_that_could_not_be_asked_for_is_not_called_right(
    any_database_url: str, tmp_path: Path
) -> None:
    async with healthy(any_database_url, tmp_path) as patient:
        await stripe_fails(patient)
        report = await patient.examine()
    assert found(report, "account") == []
    assert [each.why for each in report.skipped if each.check == "account"] == [
        "Stripe's API does not answer."
    ]


async def test_what_is_young_or_small_is_no_mistake(database_url: str, tmp_path: Path) -> None:
    async with healthy(database_url, tmp_path) as patient:
        customer = patient.account.create_customer()
        patient.account.create_subscription(customer)
        await failing_event(patient)
        await patient.deliver()
        await thin_event_that_nobody_reads(patient)
        patient.account.advance(-301)
        running = "UPDATE billing_job SET started_at = finished_at + 5, lease_until = finished_at + 3600"
        await patient.write(running)
        await patient.write("UPDATE billing_job SET finished_at = NULL WHERE name = 'reconcile'")
        patient.account.advance(-40)
        patient.skew = 29
        report = await patient.examine()
    assert found(report, "failing-events")[0].level == "ok"
    assert found(report, "unlinked-customers")[0].level == "ok"
    assert found(report, "clock")[0].level == "ok"
    assert found(report, "thin-events")[0].level == "ok"
    assert {found(report, job)[0].level for job in ("catch-up", "reconcile", "refresh")} == {"ok"}


async def test_an_endpoint_of_all_event_types_lacks_none(sqlite_database: str, tmp_path: Path) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.endpoint.enabled_events = ["*"]
        report = await patient.examine()
    assert found(report, "endpoint-types")[0].level == "ok"


async def test_the_json_has_one_form_in_one_order(database_url: str, tmp_path: Path) -> None:
    async with healthy(database_url, tmp_path) as patient:
        patient.environment["STRIPE_API_KEY"] = ""
        first, second = await patient.examine(), await patient.examine()
    content = first.as_json()
    assert content == second.as_json()
    assert list(content) == ["ok", "findings", "skipped"]
    assert {tuple(each) for each in content["findings"]} == {("check", "level", "what", "remedy")}
    assert all((each["level"] == "ok") == (each["remedy"] is None) for each in content["findings"])
    looked_at = {each["check"] for each in content["findings"]}
    needing = {check.name for check in CHECKS if "stripe" in check.needs}
    assert {each["check"]: each["why"] for each in content["skipped"]} == dict.fromkeys(
        needing, "STRIPE_API_KEY is unset."
    )
    assert looked_at | needing == {check.name for check in CHECKS}


async def test_without_a_database_stripe_is_still_looked_at(sqlite_database: str, tmp_path: Path) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.environment["DATABASE_URL"] = NOBODY
        report = await patient.examine()
    assert {each.why for each in report.skipped} == {"The database cannot be read."}
    assert found(report, "endpoint-types")[0].level == "ok"


async def test_a_key_that_may_not_list_endpoints_leaves_what_is_said_of_them_open(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(api: StripeApi) -> list[dict[str, Any]]:
        raise StripeRefused("Stripe does not accept STRIPE_API_KEY for this.")

    monkeypatch.setattr(event_sources, "list_endpoints", refuse)
    async with healthy(sqlite_database, tmp_path) as patient:
        report = await patient.examine()
    assert {each.check for each in report.skipped} == {check.name for check in endpoint.CHECKS}
    assert found(report, "catch-up")[0].level == "ok"


async def test_a_stripe_that_ends_in_the_middle_is_asked_no_more(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.faults.next("error", 40, path="/v1/prices")
        report = await asyncio.wait_for(patient.examine(), 60)
    skipped = {each.check for each in report.skipped}
    assert {"plan-prices", "endpoint", "endpoint-types"} <= skipped
    assert found(report, "stripe")[0].level == "ok"


@pytest.mark.parametrize("error", [None, OSError("the connection is gone")])
async def test_the_report_is_given_though_the_database_cannot_be_closed(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """`None`: closing takes for ever."""
    dispose = AsyncEngine.dispose

    async def cannot_be_closed(engine: AsyncEngine) -> None:
        await dispose(engine)
        if error is not None:
            raise error
        await asyncio.Event().wait()

    async with healthy(sqlite_database, tmp_path) as patient:
        with monkeypatch.context() as broken:
            broken.setattr(AsyncEngine, "dispose", cannot_be_closed)
            broken.setattr(installation, "DATABASE_TIMEOUT_SECONDS", 0.2)
            report = await patient.examine()
    assert found(report, "database")[0].level == "ok"
