"""What all commands share: sentences for what is missing, JSON and nothing else, receivers."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.cli.output import plain
from app.formatting import duration, shown_amount

from .. import ROOT
from .shell import Shell, signed_up
from .test_cli import app as app_process

pytestmark = pytest.mark.postgresql_in_long


def test_a_database_that_is_down_is_named_in_a_sentence(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Shell("postgresql://nobody:nothing@127.0.0.1:1/none", tmp_path).settings
    listed = app_process("events", "list", cwd=tmp_path, **settings)
    assert (listed.returncode, "Traceback" in listed.stderr) == (1, False)
    assert "refuses connections: start it" in listed.stderr
    status = app_process("status", "--json", cwd=tmp_path, **settings)
    assert status.returncode == 1
    assert "DATABASE_URL" in json.loads(status.stdout)["problems"][0]


def test_missing_settings_are_named(tmp_path: Path) -> None:
    result = app_process("status", cwd=tmp_path)
    assert (result.returncode, "STRIPE_WEBHOOK_SECRET" in result.stderr) == (1, True)


def test_json_on_standard_output_is_nothing_but_json(tmp_path: Path, sqlite_database: str) -> None:
    shell = Shell(sqlite_database, tmp_path)
    shell.take_in(signed_up())
    replayed = app_process(
        "events", "replay", "--state", "ignored", "--now", "--json", cwd=tmp_path, **shell.settings
    )
    assert json.loads(replayed.stdout) == {
        "due": 0,
        "failed": 0,
        "left": 0,
    }
    assert replayed.stderr == ""


def test_amounts_durations_and_texts_are_shown_for_people() -> None:
    assert shown_amount(123_456, "eur") == "1,234.56 EUR"
    assert shown_amount(500, "jpy") == "500 JPY"
    assert shown_amount(1234, "kwd") == "1.234 KWD"
    assert shown_amount(-5, "usd") == "-0.05 USD"
    assert (shown_amount(None, "usd"), shown_amount(5, None)) == ("", "5")
    assert [duration(seconds) for seconds in (59, 119, 120, 7200, 200_000)] == [
        "59 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
    ]
    assert plain("a\x07b\nc") == "a\\u0007b\nc"


RECEIVERS = """
from app.signals import durable, subscription_changed

async def welcome(reaction):
    raise AssertionError("only a server tells")

durable(subscription_changed, welcome, name="welcome")
"""


@pytest.mark.long
def test_what_a_command_applies_is_kept_for_the_applications_receivers(
    tmp_path: Path, sqlite_database: str
) -> None:
    (tmp_path / "shop_receivers.py").write_text(RECEIVERS)
    shell = Shell(sqlite_database, tmp_path)
    shell.take_in(signed_up())
    path = sqlite_database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE billing_event SET state = 'dead'")
        connection.execute("DELETE FROM billing_subscription")
        connection.commit()
    settings = shell.settings | {"RECEIVERS": "shop_receivers", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    replayed = app_process("replay", "--state", "dead", "--now", cwd=tmp_path, **settings)
    assert replayed.returncode == 0, replayed.stderr
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT receiver, state FROM billing_outbox WHERE receiver = 'welcome'")
        assert set(kept) == {("welcome", "pending")}


def test_receivers_that_cannot_be_imported_are_named(tmp_path: Path, sqlite_database: str) -> None:
    settings = Shell(sqlite_database, tmp_path).settings | {"RECEIVERS": "shop.nowhere"}
    for command in (["worker"], ["replay", "--state", "dead", "--now"]):
        refused = app_process(*command, cwd=tmp_path, **settings)
        assert refused.returncode == 1
        assert "RECEIVERS: the module shop.nowhere cannot be imported" in " ".join(refused.stderr.split())


def test_compare_rules_lists_nobody_where_the_rules_are_followed(shell: Shell) -> None:
    result = shell("limits", "compare-rules")
    assert result.exit_code == 0, result.output
    assert "different: 0. Nothing was changed." in result.output
    assert shell.json("limits", "compare-rules")["changed"] == []
