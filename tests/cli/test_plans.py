"""`plans check`: what is printed before a deploy, and the exit code."""

import json
from pathlib import Path

import pytest

from app.config import SHIPPED_PLANS

from .shell import Shell, signed_up

pytestmark = pytest.mark.postgresql_in_long


def write(text: str) -> str:
    Path("new.toml").write_text(text)
    return "new.toml"


def test_the_loss_of_a_payer_stops_a_deploy_unless_it_is_allowed(shell: Shell) -> None:
    shell.take_in(signed_up(user_id="ada"))
    shipped = SHIPPED_PLANS.read_text()
    assert shell("plans", "check", write(shipped)).exit_code == 0

    new = write(shipped.replace("projects = { limit = 10, per_unit", "projects = { limit = 8, per_unit"))
    result = shell("plans", "check", new)
    assert result.exit_code == 1
    for part in (
        "ada",
        "NOT ALLOWED",
        "1 user compared; would gain, lose or be over: 1;",
        "Nothing was written",
    ):
        assert part in result.stdout
    assert shell("plans", "check", new, "--allow", "projects").exit_code == 0
    assert shell("plans", "check", new, "--allow", "team").exit_code == 0
    refused = shell("plans", "check", new, "--allow", "teams")
    assert (refused.exit_code, "--allow teams" in refused.stderr) == (1, True)

    found = shell.json("plans", "check", new)
    (change,) = found["changes"]
    assert {
        "user_id": "ada",
        "change": "lose",
        "before": 10,
        "after": 8,
        "payer": True,
    }.items() <= change.items()
    assert (found["ok"], found["features"]) == (False, {"projects": {"gain": 0, "lose": 1, "over": 0}})


def test_a_file_that_is_edited_in_its_place_is_compared_with_what_a_server_started_with(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.take_in(signed_up(user_id="ada"))
    shipped = SHIPPED_PLANS.read_text()
    monkeypatch.setenv("PLANS_FILE", write(shipped))
    shell.served(lambda client: client.app.state.billing.catalogues.store())
    assert shell("plans", "check", "new.toml").exit_code == 0
    edited = shipped.replace("projects = { limit = 10, per_unit", "projects = { limit = 8, per_unit")
    result = shell("plans", "check", write(edited))
    assert (result.exit_code, "would gain, lose or be over: 1;" in result.stdout) == (1, True), result.output
    assert "Compared with the plan catalogue that is in force since 20" in result.stderr
    (change,) = shell.json("plans", "check", "new.toml")["changes"]
    assert (change["user_id"], change["before"], change["after"]) == ("ada", 10, 8)


def test_before_the_first_start_a_file_is_checked_all_the_same(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANS_FILE", write(SHIPPED_PLANS.read_text()))
    assert shell("migrate").exit_code == 0
    result = shell("plans", "check", "new.toml")
    assert (result.exit_code, "0 users compared" in result.stdout) == (0, True), result.output
    missing = shell("plans", "check", "nowhere.toml")
    assert (missing.exit_code, "There is no file nowhere.toml" in missing.stderr) == (1, True)


def test_a_price_in_use_that_is_in_no_plan_stops_a_deploy(shell: Shell) -> None:
    shell.take_in(signed_up(user_id="ada"))
    new = write(SHIPPED_PLANS.read_text().replace('"price_team", ', ""))
    result = shell("plans", "check", new, "--allow", "team")
    assert (result.exit_code, "price_team of 1 live subscriptions would be in no plan" in result.stdout) == (
        1,
        True,
    )
    (price,) = json.loads(shell("plans", "check", new, "--json").stdout)["unmapped_prices"]
    assert (price["id"], price["is_new"]) == ("price_team", True)


def test_a_catalogue_that_cannot_be_used_is_said_in_the_words_of_its_file(shell: Shell) -> None:
    result = shell("plans", "check", write("[features]\nprojects = 3\n"))
    assert (result.exit_code, "new.toml: feature 'projects'" in result.stderr) == (1, True)
