"""Each command says what is wrong with the settings in sentences, and ends; it shows no traceback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli

from .shell import keep_logging
from .test_documented_commands import ROOT_COMMAND

SERVERS = {("serve",), ("run",), ("worker",), ("demo",)}
ASKS = ("admin", "password")


def commands(command: Any = ROOT_COMMAND, path: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Every command with an argument of each kind that it requires."""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))
    if hasattr(command, "commands") or path in {*SERVERS, ASKS}:
        return
    arguments = list(path)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            arguments.append("1")
        elif parameter.required:
            arguments += [parameter.opts[0], "1"]
    yield arguments


ALL = list(commands())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PLANS_FILE", "nowhere.toml"),
        ("RECEIVERS", "nowhere.receivers"),
        ("DATABASE_URL", "oracle://nowhere"),
        ("INTERNAL_API_KEY", "short"),
    ],
)
def test_no_command_ends_in_a_traceback(
    setting: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_logging(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_test_of_wrong_settings_0123456789")
    monkeypatch.setenv("INTERNAL_API_KEY", "key-of-the-test-of-wrong-settings-0001")
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    monkeypatch.setenv(setting, value)
    assert len(ALL) > 30
    raised = {}
    for arguments in ALL:
        result = CliRunner().invoke(cli, arguments)
        if not isinstance(result.exception, SystemExit | None):
            raised[" ".join(arguments)] = repr(result.exception)
    assert raised == {}
