"""Settings and log lines show no secret, and log lines cannot be forged."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.observability.logs import to_json
from app.observability.redaction import redacted
from tests.cli.test_cli import app as command
from tests.client import settings_for
from tests.databases import free_port

from .helpers import EMAIL, KEY, MARK, NAME, PASSWORD, SECRET

SERVE, REPLAY, MIGRATE = ("serve", "--port", "0"), ("events", "replay", "--state", "dead"), ("migrate",)
WRONG = [
    (MIGRATE, {"DATABASE_URL": f"mysql://u:{PASSWORD}@h/d"}),
    (SERVE, {"DATABASE_URL": PASSWORD}),
    pytest.param(REPLAY, {"DATABASE_URL": f"postgresql://u:{PASSWORD}/x@h/d"}, marks=pytest.mark.long),
    pytest.param(SERVE, {"DATABASE_URL": f"postgresql://u:[{PASSWORD}@h/d"}, marks=pytest.mark.long),
    pytest.param(MIGRATE, {"DATABASE_URL": f"postgresql://u:{PASSWORD}#x@h/d"}, marks=pytest.mark.long),
    (SERVE, {"LIVEMODE": KEY, "EVENT_RETENTION_DAYS": SECRET, "MAX_BODY_BYTES": PASSWORD}),
    (REPLAY, {"INTERNAL_API_KEY": "", "PLANS_FILE": "/nowhere/plans.toml"}),
]


@pytest.mark.parametrize(("arguments", "wrong"), WRONG)
@pytest.mark.rest_in_long(2)
def test_wrong_settings_are_complained_of_without_their_values(
    tmp_path: Path, arguments: tuple[str, ...], wrong: dict[str, str]
) -> None:
    good = {"STRIPE_WEBHOOK_SECRET": SECRET, "INTERNAL_API_KEY": KEY}
    result = command(*arguments, cwd=tmp_path, **(good | wrong))
    came_out = result.stdout + result.stderr
    assert MARK not in came_out.lower()
    assert "Traceback" not in came_out
    assert result.returncode != 0
    assert any(name in came_out for name in wrong)


@pytest.mark.parametrize("arguments", [REPLAY, MIGRATE])
def test_a_command_that_finds_no_database_does_not_tell_its_password(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    address = f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"
    settings = {"STRIPE_WEBHOOK_SECRET": SECRET, "INTERNAL_API_KEY": KEY, "DATABASE_URL": address}
    result = command(*arguments, cwd=tmp_path, **settings)
    assert result.returncode != 0
    assert MARK not in (result.stdout + result.stderr).lower()


def test_the_settings_themselves_do_not_show_their_secrets() -> None:
    secrets = {"stripe_webhook_secret": (SecretStr(SECRET),), "internal_api_key": (SecretStr(KEY),)}
    shown = settings_for("sqlite:///x.db", **secrets)
    assert MARK not in f"{shown} {shown!r} {shown.model_dump()} {shown.model_dump_json()}"


def test_what_an_error_is_about_stays_and_whom_it_is_about_goes() -> None:
    content = {"id": "sub_1", "status": "past_due", "name": NAME, "inner": [{"email": EMAIL}], "n": "ab"}
    said = f"KeyError: 'price' of sub_1, past_due, {NAME!r}, {EMAIL}, {json.dumps(NAME)}"
    kept = redacted(said, content, None)
    assert MARK not in kept.lower()
    assert kept.startswith("KeyError: 'price' of sub_1, past_due, ")


@pytest.mark.parametrize("value", ["it's me", 'say "me"', "back\\slash", "two\nlines", "Zoë", "plain me"])
def test_whom_an_error_is_about_goes_however_it_is_written(value: str) -> None:
    said = f"ValueError: {value}, {value!r}, {json.dumps(value)}"
    assert redacted(said, {"name": value}).count("[redacted]") == 3


@pytest.mark.parametrize("value", ["\ud800", 2**70, "\x9b", b"\xff", "ü"])
def test_a_log_line_is_ascii_json_whatever_it_holds(value: object) -> None:
    line = to_json(None, "info", {"event": "here", "value": value})
    assert line.isascii()
    assert json.loads(line)["value"] == (value if isinstance(value, str | int) else repr(value))
